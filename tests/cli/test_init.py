"""What ``waypost init`` finds, writes, and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner, Result

from waypost.cli import app
from waypost.errors import BadInput
from waypost.gateway import settings
from waypost.pool.catalogue import priced
from waypost.types import ModelCard

init = import_module("waypost.cli.init")  # waypost.cli.init as an attribute is the command
KEY = "sk-a-key-that-must-stay-where-it-is"


@contextmanager
def listening(body: bytes, status: int = 200) -> Iterator[str]:
    """A server on a free loopback port that gives every request the same answer; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no local server, an empty folder."""
    for provider in init.PROVIDERS:
        monkeypatch.delenv(provider.variable, raising=False)
    monkeypatch.setattr(init, "SERVERS", (init.Server("Nobody", "127.0.0.1:9"),))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["init", *arguments])


def models(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["models"]


def test_without_keys_and_servers_the_config_still_serves() -> None:
    assert models(run("--json"))
    assert settings.load(Path("waypost.yaml")).models


def test_a_key_brings_its_provider_and_is_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    result = run("--json")
    assert {"gpt-6-luna", "gpt-6.1-terra"} <= set(models(result))
    written = Path("waypost.yaml").read_text()
    assert "api_key: ${OPENAI_API_KEY}" in written
    assert KEY not in written + result.output


def test_an_empty_key_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = models(run("--json"))
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert models(run("--json", "--force")) == before


def test_all_keys_at_once_make_a_config_that_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in init.PROVIDERS:
        monkeypatch.setenv(provider.variable, KEY)
    names = models(run("--json"))
    assert len(set(names)) == len(names)
    loaded = settings.load(Path("waypost.yaml"))
    assert [model.name for model in loaded.models] == names
    assert KEY not in repr(loaded)


def test_a_local_server_brings_its_chat_models(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {"models": [{"name": "llama3.2:latest"}, {"name": "qwen3:8b"}, {"name": "nomic-embed-text"}]}
    with listening(json.dumps(listed).encode()) as address:
        monkeypatch.setattr(init, "SERVERS", (init.Server("Ollama", address, "/api/tags"),))
        names = models(run("--json"))
    assert {"llama3.2", "qwen3:8b"} <= set(names)
    assert not [name for name in names if "embed" in name]
    assert f"http://{address}/v1" in Path("waypost.yaml").read_text()
    assert settings.load(Path("waypost.yaml")).models


def test_any_name_of_a_server_makes_a_config_that_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = ["yes", "a: b # c", "two\nlines", "{x}", "auto", "org/auto:7b", "ção", "7"]
    with listening(json.dumps({"data": [{"id": name} for name in strange]}).encode()) as address:
        monkeypatch.setattr(init, "SERVERS", (init.Server("vLLM", address),))
        models(run("--json"))
    upstreams = [model.settings.get("upstream") for model in settings.load(Path("waypost.yaml")).models]
    assert set(strange) <= set(upstreams)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": 5}', b'{"data": [1, {"id": 2}]}', b"\xff", b""])
def test_a_server_that_is_something_else_is_passed_over(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    before = models(run("--json"))
    with listening(body) as address:
        monkeypatch.setattr(init, "SERVERS", (init.Server("vLLM", address),))
        assert models(run("--json", "--force")) == before


def test_two_models_of_one_name_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    with listening(b'{"data": [{"id": "gpt-oss-20b"}]}') as address:
        monkeypatch.setattr(init, "SERVERS", (init.Server("vLLM", address),))
        assert {"gpt-oss-20b", "gpt-oss-20b-2"} <= set(models(run("--json")))


def test_a_file_that_is_there_is_left_as_it_is() -> None:
    Path("waypost.yaml").write_text("mine")
    result = run()
    assert isinstance(result.exception, BadInput)
    assert str(result.exception) == (
        "waypost.yaml exists and was left as it is; --force replaces it, --out writes elsewhere"
    )
    assert Path("waypost.yaml").read_text() == "mine"


def test_force_replaces_and_out_writes_elsewhere() -> None:
    Path("waypost.yaml").write_text("mine")
    assert run("--out", "other.yaml").exit_code == 0
    assert run("--force").exit_code == 0
    assert "mine" not in Path("waypost.yaml").read_text()
    assert "serve --config other.yaml" in Path("other.yaml").read_text()


def test_a_folder_that_is_missing_is_named() -> None:
    result = run("--out", "nowhere/waypost.yaml")
    assert isinstance(result.exception, BadInput)
    assert "there is no folder nowhere" in str(result.exception)


@pytest.mark.parametrize("provider", init.PROVIDERS, ids=lambda provider: provider.name)
def test_each_model_that_is_proposed_has_a_known_price(provider: init.Provider) -> None:
    for upstream in provider.models:
        assert priced(ModelCard(upstream), upstream).usd_per_mtok_out
