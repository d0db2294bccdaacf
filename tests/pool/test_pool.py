"""Making models by kind: what is allowed, and what mistakes are told."""

from dataclasses import replace
from pathlib import Path

import pytest

from waypost import pool
from waypost.errors import BadInput
from waypost.pool.secret import Secret
from waypost.types import Answer, ModelCard

CARD = ModelCard("m", usd_per_mtok_in=1.0, usd_per_mtok_out=1.0)
SETTINGS = {
    "openai": {"base_url": "http://127.0.0.1:1/v1", "api_key": Secret("k"), "upstream": "u", "timeout": 5.0},
    "anthropic": {"api_key": Secret("k")},
    "gguf": {"path": Path("missing.gguf"), "template": "chatml"},
    "arithmetic": {},
    "translate": {},
    "encoder": {"encoder": "static-256"},
    "replay": {"answers": {"Hi": Answer("m", "Hello")}},
}


@pytest.mark.parametrize("kind", pool.KINDS)
async def test_every_kind_is_made_without_touching_anything(kind):
    model = pool.make(kind, CARD, SETTINGS[kind])
    assert replace(model.card, apis=CARD.apis, upstream="") == CARD
    await model.close()


@pytest.mark.parametrize(
    ("kind", "settings", "told"),
    [
        ("opnai", {}, "no kind of model 'opnai'; .* Did you mean 'openai'"),
        ("gguf", {"pth": "x"}, "kind 'gguf' has no setting 'pth'; it takes path, .* Did you mean 'path'"),
        ("gguf", {}, "'m': kind 'gguf' needs the setting 'path'"),
        ("gguf", {"path": "x", "template": "chatlm"}, "no template 'chatlm'; .* Did you mean 'chatml'"),
        ("gguf", {"path": "x", "slots": 0}, "'slots' must be at least 1, got 0"),
        ("arithmetic", {"path": "x"}, "kind 'arithmetic' has no setting 'path'; it takes none"),
    ],
)
def test_a_mistake_is_told_with_what_is_allowed(kind, settings, told):
    with pytest.raises(BadInput, match=told):
        pool.make(kind, CARD, settings)
