"""What of an application goes on in the one that takes its place."""

from __future__ import annotations

from pathlib import Path

from waypost.gateway.build import Built, build
from waypost.gateway.settings import load

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


async def test_a_new_key_or_another_store_is_a_change(tmp_path):
    config = tmp_path / "waypost.yaml"
    old = built(config, MODELS)
    new = built(config, MODELS.replace("rows.", "other."), old, {"KEY": "sk-2"})
    assert new.app.serving.models["same"] is not old.app.serving.models["same"]
    assert new.app.serving.models["changed"] is old.app.serving.models["changed"]
    assert new.app.serving.ledger is not old.app.serving.ledger
    await old.app.close(kept=new.app.parts())
    await new.app.close()
