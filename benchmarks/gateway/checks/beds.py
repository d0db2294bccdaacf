"""Waypost and LiteLLM with the same models before the same provider: how each is told the same things."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import peers
import targets
from checks.check import SPENDER_USD, Bed, Model
from checks.failing import LIMIT_SECONDS
from checks.provider import Recorder, recorder
from checks.talk import Client
from targets import Place, Started

MAX_IN_FLIGHT = 4  # of the gateway that is to be overloaded
USD_PER_MTOK = 1000
_OK = Model("ok")
_MASTER_KEY = "sk-8f3b1c9d7e5a4206b8d1f0e3c7a95b642d10"


def _upstream_key(model: Model) -> str:
    """A key for each model, so that one that the provider refuses says nothing of the others."""
    return f"sk-upstream-{model.name}-4f9d2a71"


@contextmanager
def bed(name: str, models: Iterable[Model], *, overloaded: bool = False) -> Iterator[Bed]:
    """A gateway that takes requests, with everything around it; ``overloaded`` bounds what it does at once.

    Raises:
        CannotInstall: LiteLLM cannot be installed here.
        DidNotStart: the gateway did not.
    """
    known = tuple(dict.fromkeys((_OK, *models)))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wp-faults-", ignore_cleanup_errors=True)))
        upstream = stack.enter_context(targets.provider(set()))
        recorded, trap = stack.enter_context(recorder()), stack.enter_context(recorder())
        place = Place(folder, targets.free_port(), upstream)
        keys = _keys(folder) if name == "waypost" else {"key": _MASTER_KEY}
        make = _waypost if name == "waypost" else _litellm
        started = make(place, known, recorded, keys["key"], overloaded)
        server = stack.enter_context(targets.process(started.command, folder, set(), started.env))
        parts = urlsplit(targets.answering(server, folder, started))
        assert parts.hostname is not None and parts.port is not None
        mock = urlsplit(upstream)
        assert mock.hostname is not None and mock.port is not None
        yield Bed(
            name=name,
            client=Client(parts.hostname, parts.port, keys["key"]),
            stats=Client(mock.hostname, mock.port),
            provider=recorded,
            trap=trap,
            said=folder / "said",
            secrets=(*keys.values(), *map(_upstream_key, known)),
            cost_header="x-waypost-cost" if name == "waypost" else "x-litellm-response-cost",
            other_key=keys.get("other"),
            spender_key=keys.get("spender"),
            pid=server.pid,
        )


def _keys(folder: Path) -> dict[str, str]:
    """The secrets of three keys in the store: two tenants, and one with a budget."""
    script = f"""
import json
from pathlib import Path
from waypost.store.database import Database
from waypost.store.keystore import KeyStore
from waypost.store.limits import Limits
keys = KeyStore(Database(Path("rows.sqlite")))
limits = {{"spender": Limits(usd={SPENDER_USD}, per="total")}}
print(json.dumps({{name: keys.create(name, limits=limits.get(name))[1] for name in ("key", "other", "spender")}}))
"""
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True, cwd=folder)
    return dict(json.loads(done.stdout))


def _waypost(place: Place, models: Iterable[Model], recorded: Recorder, key: str, overloaded: bool) -> Started:
    limits = f", max_in_flight: {MAX_IN_FLIGHT}" if overloaded else ""
    lines = [f"server: {{port: {place.port}, head_seconds: 1, body_idle_seconds: 1{limits}}}", "models:"]
    env = {}
    for number, model in enumerate(models):
        env[f"KEY_{number}"] = _upstream_key(model)
        about = {
            "name": model.name,
            "kind": "openai",
            "base_url": recorded.url if model.recorded else place.upstream,
            "api_key": f"${{KEY_{number}}}",
            "first_byte_timeout": LIMIT_SECONDS,
            "idle_timeout": LIMIT_SECONDS,
        }
        if model.priced:
            about |= {"usd_per_mtok_in": USD_PER_MTOK, "usd_per_mtok_out": USD_PER_MTOK}
        if model.seconds is not None:
            about["timeout"] = model.seconds
        if model.usd is not None:
            about["limits"] = {"usd": model.usd, "per": "total"}
        lines.append(f"  - {json.dumps(about)}")
    lines.append("fallback:")
    lines += [f"  {model.name}: [{model.fallback or 'ok'}]" for model in models if model.fallback]
    lines += ["router: cheapest", "keys: required", "store: rows.sqlite", "cache: {semantic: {}}", "sessions: {}"]
    lines.append("logs: {requests: all, level: debug}")
    config = place.write("waypost.yaml", "\n".join(lines))
    return Started([sys.executable, "-m", "waypost", "serve", "--config", config], place.url, env, model="ok", key=key)


def _litellm(place: Place, models: Iterable[Model], recorded: Recorder, key: str, overloaded: bool) -> Started:
    python = peers.python("litellm[proxy]==1.106.2")
    listed = []
    for model in models:
        params: dict[str, object] = {
            "model": f"openai/{model.name}",
            "api_base": recorded.url if model.recorded else place.upstream,
            "api_key": _upstream_key(model),
            "stream_timeout": LIMIT_SECONDS,
        }
        if model.priced:
            params |= {"input_cost_per_token": USD_PER_MTOK / 1e6, "output_cost_per_token": USD_PER_MTOK / 1e6}
        if model.seconds is not None:
            params["timeout"] = model.seconds
        if model.usd is not None:
            params |= {"max_budget": model.usd, "budget_duration": "30d"}
        listed.append({"model_name": model.name, "litellm_params": params})
    config = {
        "model_list": listed,
        "general_settings": {"master_key": key},
        "router_settings": {"fallbacks": [{model.name: [model.fallback]} for model in models if model.fallback]},
    }
    # JSON is YAML.
    command = [str(python.parent / "litellm"), "--config", place.write("litellm.yaml", json.dumps(config))]
    command += ["--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1", "--telemetry", "False"]
    if overloaded:
        command += ["--limit_concurrency", str(MAX_IN_FLIGHT)]
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}
    return Started(command, place.url, env, model="ok", key=key)
