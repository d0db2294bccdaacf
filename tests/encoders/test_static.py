"""The static encoder equals the reference implementation whose vectors it reads, only faster."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import wordllama
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.encoders import ENCODERS, StaticEncoder, named
from waypost.errors import BadInput

ENCODER = StaticEncoder()


@pytest.fixture(scope="module")
def reference():
    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)


TEXTS = [
    "What is 17% of 3,400?",
    "  two  spaces   and\ttabs\nand lines ",
    "日本語と中文 mixed with English",
    "naïve café — “quotes” … 🙂🙂",
    "def f(x):\n    return x ** 2\n",
    "a" * 300,
]


def test_vectors_equal_the_reference(reference):
    assert np.allclose(ENCODER.encode(TEXTS), reference.embed(TEXTS, norm=True), atol=1e-5)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200).filter(lambda t: "▁" not in t))
def test_tokens_equal_those_of_the_whole_text(reference, text):
    reference.tokenizer.no_padding()
    assert ENCODER.tokens(text) == reference.tokenizer.encode(text, add_special_tokens=False).ids


def test_the_name_of_a_special_token_is_a_text_like_any_other():
    assert {0, 1, 2}.isdisjoint(ENCODER.tokens("What do <s>, </s> and <unk> mean?"))


def test_a_text_without_tokens_is_the_zero_vector():
    assert not ENCODER.encode([""]).any()


def test_unit_length_and_shape():
    vectors = ENCODER.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), ENCODER.dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert ENCODER.encode([]).shape == (0, ENCODER.dim)


def test_a_text_alone_has_the_vector_that_it_has_among_others():
    """Also one of more tokens than memory is kept for, and one of none."""
    texts = [*TEXTS, "word " * 700, ""]
    many = ENCODER.encode(texts)
    assert all(np.array_equal(ENCODER.encode([text])[0], row) for text, row in zip(texts, many, strict=True))


def test_a_long_text_keeps_its_start_and_its_end():
    short = StaticEncoder(max_chars=20)
    assert short.tokens("start of it" + " x" * 1000 + " end of it") == short.tokens("start of i  end of it")


def test_a_new_word_is_looked_at_once_however_often_it_stands_in_a_text():
    encoder, looked = StaticEncoder(), []
    pieces = encoder._pieces

    class Counting:
        def tokenize(self, word):
            looked.append(word.removeprefix("▁"))
            return pieces.tokenize(word)

    encoder._pieces = Counting()
    long = "a" * 200  # which is not kept
    assert encoder.tokens(f"zq {long} zq other zq {long}") == StaticEncoder().tokens(f"zq {long} zq other zq {long}")
    assert sorted(looked) == [long, "other", "zq"]
    encoder.tokens("zq other new")
    assert looked[3:] == ["new"]


def test_the_word_cache_is_bounded(monkeypatch):
    monkeypatch.setattr("waypost.encoders.static._CACHED_WORDS", 10)
    encoder = StaticEncoder()
    encoder.encode([" ".join(f"word{i}" for i in range(50))])
    assert len(encoder._words) <= 10


def test_a_saved_name_brings_the_encoder_back():
    assert all(named(name).name == name for name in ENCODERS)
    with pytest.raises(BadInput, match="Did you mean 'static-256'"):
        named("static-265")


def test_many_threads_get_the_vectors_of_one(monkeypatch):
    """Also while the weights are being read, and while other threads empty the cache of words."""
    expected = StaticEncoder().encode(TEXTS)
    monkeypatch.setattr("waypost.encoders.static._CACHED_WORDS", 7)
    fresh = StaticEncoder()
    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(lambda n: fresh.encode(TEXTS[n % 3 :]), range(240)):
            assert np.array_equal(found, expected[-len(found) :])
