"""A fine-tuned encoder is a folder like any other, and its vectors tell the best models apart better than before."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from waypost.encoders import HubEncoder, named
from waypost.errors import BadInput
from waypost.outcomes import example_table
from waypost.routers import load, make, save
from waypost.routers.finetune import _vectors, finetune

TRAIN, TEST = example_table(260, seed=1).split(0.6)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> HubEncoder:
    """A BERT of 16 dimensions with random weights, which knows the words of the table."""
    folder = tmp_path_factory.mktemp("small")
    words = sorted({word.strip("?.!,").lower() for prompt in TRAIN.prompts for word in prompt.split()} - {""})
    vocabulary = {word: n for n, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=40,
    )  # fmt: skip
    BertModel(config).eval().save_pretrained(folder)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    return HubEncoder(f"hub:{folder}")


@pytest.fixture(scope="module")
def tuned(small, tmp_path_factory) -> HubEncoder:
    settings = {"layers": 2, "lr": 1e-2, "epochs": 8, "batch": 16, "clusters": 0, "temperature": 0.2}
    return finetune(small, TRAIN, tmp_path_factory.mktemp("tuned"), **settings)


def apart(encoder: HubEncoder) -> float:
    """How much nearer prompts stand that have the same best models."""
    vectors = encoder.encode(TEST.prompts)
    same = (TEST.quality_NM[:, None] == TEST.quality_NM).all(axis=2)
    return float((vectors @ vectors.T)[same].mean() - (vectors @ vectors.T)[~same].mean())


def test_prompts_that_the_same_models_answer_come_together(small, tuned):
    assert apart(tuned) > apart(small) + 0.3


def test_a_router_on_it_is_saved_and_loaded(tuned, tmp_path):
    router = make("ridge", encoder=tuned).fit(TRAIN)
    save(router, tmp_path)
    assert np.array_equal(load(tmp_path).predict(TEST.prompts).quality_NM, router.predict(TEST.prompts).quality_NM)


def test_only_the_last_layers_change_and_all_else_is_copied(small, tmp_path):
    one = finetune(small, TRAIN, tmp_path / "one", layers=1, epochs=1, sample_sample=0)
    before, after = (BertModel.from_pretrained(encoder.where).state_dict() for encoder in (small, one))
    changed = {name.rpartition("layer.")[2][:1] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"1"}
    assert {path.name for path in Path(one.where).iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert named(one.name).dim == 16


def test_the_same_seed_gives_the_same_encoder(small, tmp_path):
    one, other = (finetune(small, TRAIN, tmp_path / name, epochs=1).encode(TEST.prompts) for name in "ab")
    assert np.array_equal(one, other)


def test_padding_changes_no_vector(small):
    model = BertModel.from_pretrained(small.where).eval()
    ids = [small.tokens(prompt) for prompt in TEST.prompts[:9]]
    with torch.no_grad():
        assert np.allclose(_vectors(model, ids).numpy(), small.encode(TEST.prompts[:9]), atol=1e-5)


def test_what_cannot_be_tuned_is_said(small, tmp_path):
    with pytest.raises(BadInput, match=r"no 3 layers.*it has 2"):
        finetune(small, TRAIN, tmp_path, layers=3)
    with pytest.raises(ValueError, match="epochs must be above 0"):
        finetune(small, TRAIN, tmp_path, epochs=0)
    other = tmp_path / "cls"
    finetune(small, TRAIN, other, epochs=1, sample_sample=0)
    (other / "1_Pooling").mkdir()
    (other / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    with pytest.raises(BadInput, match="pools by 'cls'"):
        finetune(HubEncoder(str(other)), TRAIN, tmp_path)
