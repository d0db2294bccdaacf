"""What of an application goes on in the one that takes its place."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from waypost import routers
from waypost.errors import BadConfig
from waypost.gateway.build import Built, build
from waypost.gateway.settings import load
from waypost.routers import LinUCB
from waypost.types import Answer, ModelCard

MODELS = """\
models:
  - {name: same, kind: openai, base_url: 'http://127.0.0.1:9/v1', api_key: '${KEY}'}
  - {name: changed, kind: openai, base_url: 'http://127.0.0.1:9/v1'}
router: cheapest
store: rows.sqlite
"""
ENV = {"KEY": "sk-1"}


def built(config: Path, text: str, old: Built | None = None, env: dict[str, str] = ENV) -> Built:
    config.write_text(text)
    return build(load(config, env), old)


async def test_unchanged_models_the_store_and_the_metrics_go_on(tmp_path):
    config = tmp_path / "waypost.yaml"
    old = built(config, MODELS)
    changed = "# a line more\n" + MODELS.replace("9/v1'}", "10/v1'}")
    new = built(config, changed, old)
    before, after = old.app.serving, new.app.serving
    assert after.models["same"] is before.models["same"]
    assert after.models["changed"] is not before.models["changed"]
    assert after.ledger is before.ledger
    assert after.metrics is before.metrics
    await old.app.close(kept=new.app.parts())
    after.ledger.writer.settled().result(30)  # it still writes
    await new.app.close()


async def test_conversations_go_on_unless_they_are_to_be_remembered_otherwise(tmp_path, redis_url):
    config, shared = tmp_path / "waypost.yaml", f"{MODELS}sessions: {{redis: '{redis_url}'}}\n"
    first = built(config, shared)
    same = built(config, f"# a line more\n{shared}", first)
    other = built(config, MODELS, same)
    sessions = [each.app.serving.choosing.sessions for each in (first, same, other)]
    assert sessions[0] is sessions[1] and sessions[1].remote is not None
    assert sessions[2] is not sessions[1] and sessions[2].remote is None
    await first.app.close(kept=same.app.parts())
    sessions[1].put("00", ModelCard("m", usd_per_mtok_cached=0.1), Answer("m", tokens_in=2000))
    await same.app.close(kept=other.app.parts())  # what was noted last is written
    again = built(config, shared, other)
    again.app.serving.choosing.sessions.remote.patience = 30  # this machine may be busy
    await again.app.serving.choosing.sessions.recall("00")
    assert again.app.serving.choosing.sessions.cached("00") == {"m": 2000}
    await other.app.close(kept=again.app.parts())
    await again.app.close()


async def test_a_new_key_or_another_store_is_a_change(tmp_path):
    config = tmp_path / "waypost.yaml"
    old = built(config, MODELS)
    new = built(config, MODELS.replace("rows.", "other."), old, {"KEY": "sk-2"})
    assert new.app.serving.models["same"] is not old.app.serving.models["same"]
    assert new.app.serving.models["changed"] is old.app.serving.models["changed"]
    assert new.app.serving.ledger is not old.app.serving.ledger
    await old.app.close(kept=new.app.parts())
    await new.app.close()


async def test_a_new_model_of_a_provider_that_is_known_shares_its_breaker(tmp_path):
    config = tmp_path / "waypost.yaml"
    old = built(config, MODELS)
    first = "models:\n  - {name: new, kind: openai, base_url: 'http://127.0.0.1:9/v1', api_key: '${KEY}'}"
    new = built(config, MODELS.replace("models:", first), old)
    assert new.app.serving.models["new"].provider is old.app.serving.models["same"].provider
    await old.app.close(kept=new.app.parts())
    await new.app.close()


LEARNS = MODELS.replace("cheapest", "learner").replace("rows.", "other.") + "keys: required\n"


@pytest.mark.parametrize("place", [f"{section}: {{redis: '${{BAD}}'}}" for section in ("cache", "limits", "sessions")])
async def test_what_a_failed_reload_had_made_is_closed_again(tmp_path, place):
    def threads() -> list[str]:
        return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("waypost-"))

    routers.save(LinUCB.from_cards({name: ModelCard(name) for name in ("same", "changed")}), tmp_path / "learner")
    config = tmp_path / "waypost.yaml"
    old = built(config, MODELS)
    before = threads()
    with pytest.raises(BadConfig, match="redis") as told:
        built(config, LEARNS + place, old, ENV | {"BAD": "redis://127.0.0.1:9/0?socket_timeout=hunter2"})
    assert "hunter2" not in str(told.value)
    assert threads() == before
    new = built(config, LEARNS, old)  # nobody holds the router's folder
    assert new.app.serving.learning is not None
    await old.app.close(kept=new.app.parts())
    await new.app.close()


async def test_a_router_that_was_trained_anew_is_not_taken_for_the_one_that_learns(tmp_path):
    def train(seed: int) -> None:
        cards = {name: ModelCard(name) for name in ("same", "changed")}
        routers.save(LinUCB.from_cards(cards, seed=seed), tmp_path / "learner")

    config = tmp_path / "waypost.yaml"
    train(0)
    old = built(config, LEARNS)
    new = built(config, LEARNS + "log_prompts: true", old)
    assert new.app.serving.learning is old.app.serving.learning
    train(1)
    with pytest.raises(BadConfig, match=r"'router' was trained anew.* start the gateway again"):
        built(config, LEARNS, new)
    await old.app.close(kept=new.app.parts())
    await new.app.close()
