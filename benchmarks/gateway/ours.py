"""Waypost in three modes: a hop by name, everything that a team switches on, and a learned choice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from targets import KEY, MODEL, Place, Started

STORE = "waypost.sqlite"
_MODELS = tuple(f"model-{number}" for number in range(10))


def by_name(place: Place) -> Started:
    """The model is named; nothing is kept."""
    return _serve(place, _model(place, MODEL))


def everything(place: Place) -> Started:
    """The model is named; keys with limits are checked, and every decision is kept in SQLite."""
    key = _key(place)
    return _serve(place, _model(place, MODEL) + _kept(place), key=key)


def learned(place: Place) -> Started:
    """A router that was trained on 2,000 prompts chooses among ten models for each prompt; nothing is kept."""
    router = place.folder / "router"
    _train(router)
    return _serve(place, "".join(_model(place, name) for name in _MODELS) + f"router: {router}\n", "auto")


def soaked(place: Place, models: Sequence[str]) -> Started:
    """Everything, with models of these names, each behaving as its name says; one is ``ok``."""
    config = "".join(_model(place, name, name) for name in models) + _kept(place)
    # No breaker opens, so that every fault goes all the way.
    config += "reliability: {retries: 1, first_wait_seconds: 0.01, breaker: {failures: 1000000000}}\n"
    return _serve(place, config, "ok", _key(place))


def _serve(place: Place, config: str, model: str = MODEL, key: str = KEY) -> Started:
    text = f"server: {{port: {place.port}, max_in_flight: 1024}}\nmodels:\n{config}"
    if "router:" not in text:
        text += "router: cheapest\n"
    command = [sys.executable, "-m", "waypost", "serve", "--config", place.write("waypost.yaml", text)]
    return Started(command, place.url, model=model, key=key)


def _kept(place: Place) -> str:
    """Keys are asked for, their team has a limit too, and decisions are stored."""
    return f"store: {place.folder}/{STORE}\nkeys: required\nteams: {{bench: {{usd: 1000000, per: month}}}}\n"


def _key(place: Place) -> str:
    """The secret of a key in the store, with limits of every kind that are never reached."""
    command = [sys.executable, "-m", "waypost", "keys", "create", "--name", "bench", "--team", "bench", "--json"]
    command += ["--requests-per-minute", "100000000", "--tokens-per-minute", "100000000000", "--parallel", "100000"]
    command += ["--usd", "1000000", "--per", "month", "--store", str(place.folder / STORE)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return str(json.loads(done.stdout)["secret"])


def _model(place: Place, name: str, upstream: str = MODEL) -> str:
    return (
        f"  - {{name: {name}, kind: openai, upstream: {upstream}, base_url: '{place.upstream}', "
        "usd_per_mtok_in: 1, usd_per_mtok_out: 2}\n"
    )


def _train(folder: Path) -> None:
    """A `ridge` router in a folder, trained as `benchmarks/decision.py` does it, in a process of its own."""
    if not folder.exists():
        subprocess.run([sys.executable, __file__, str(folder)], check=True, stdout=sys.stderr)


def main() -> None:
    """Train the router; decision.py stands one folder above."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import decision
    from waypost import routers
    from waypost.embedded.prompts import generate

    known = generate(2000, seed=0)
    table = decision.table([sample.prompt for sample in known], [sample.group for sample in known])
    routers.save(routers.make("ridge").fit(table), sys.argv[1])


if __name__ == "__main__":
    main()
