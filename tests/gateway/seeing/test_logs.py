from __future__ import annotations

import http.client
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from waypost.errors import ModelFailed
from waypost.gateway.seeing.logs import JsonLines, RequestLines, TextLines
from waypost.store import Attempt, Decided
from waypost.types import Decision

CANARY = "sk-canary-4f9d2c7b81e6"
HELLO = [{"role": "user", "content": "Hello"}]


def failed(message: str) -> logging.LogRecord:
    try:
        raise RuntimeError("it broke\nin two lines")
    except RuntimeError:
        return logging.LogRecord("waypost.x", logging.ERROR, __file__, 1, message, (), sys.exc_info())


def test_an_error_is_one_line_for_people_and_says_where():
    line = TextLines().format(failed("request failed"))
    assert "\n" not in line
    assert "ERROR   waypost.x request failed | RuntimeError: it broke in two lines at " in line
    assert "test_logs.py" in line


def test_an_error_is_one_json_object():
    line = JsonLines().format(failed("request failed"))
    told = json.loads(line)
    assert "\n" not in line
    assert (told["level"], told["logger"], told["message"]) == ("error", "waypost.x", "request failed")
    assert told["error"].startswith("RuntimeError: it broke")
    assert told["time"].endswith("+00:00")


def test_a_refused_request_is_a_line_with_fields(caplog):
    with caplog.at_level("INFO"):
        RequestLines(only_errors=True).refused("chat", 429, "rate_limit_exceeded")
    told = json.loads(JsonLines().format(caplog.records[0]))
    assert (told["api"], told["status"], told["code"]) == ("chat", 429, "rate_limit_exceeded")
    assert told["message"] == "request api=chat status=429 code=rate_limit_exceeded"


def test_a_request_without_an_answer_says_by_which_error(caplog):
    decision = Decision("named", ("small",), {}, {}, {}, {}, {}, {}, "")
    row = Decided("d", 0.0, "", None, "small", decision, (Attempt("small", "failed", 0.1),), None, None, 1.0, 0, 0, 502)
    with caplog.at_level("INFO"):
        RequestLines(only_errors=True).ended(row, ModelFailed("small: HTTP 500, as a provider said of a prompt"))
    told = json.loads(JsonLines().format(caplog.records[0]))
    assert (told["status"], told["code"], told["attempts"]) == (502, "upstream_error", "small=failed")
    assert "prompt" not in told["message"]  # which a provider may quote


def post(address: str, body: bytes, key: str = f"{CANARY}-client") -> str:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    text = f"{answer.status} {answer.headers}" + answer.read().decode()
    connection.close()
    return text


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_key_is_in_anything_that_is_written(upstream, tmp_path: Path, form):
    """A provider's key, which the provider repeats, and a client's: through answers, refusals, crashes and bad JSON."""
    names = ("small", "error500", "refused401", "garbage", "cut")
    rows = "\n".join(f"  - {{name: {n}, kind: openai, base_url: '{upstream.url}', api_key: '${{KEY}}'}}" for n in names)
    logs = f"logs: {{format: {form}, requests: all, level: debug}}"
    config = tmp_path / "waypost.yaml"
    top = "router: cheapest\nserver: {port: 0}\nstore: waypost.sqlite\ncache: {}\nreliability: {retries: 0}"
    config.write_text(f"models:\n{rows}\n{top}\n{logs}")
    command = [sys.executable, "-m", "waypost", "serve", "--config", str(config), "--json"]
    environment = {**os.environ, "KEY": CANARY}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        url = json.loads(process.stdout.readline())["url"]
        said = [post(url, json.dumps({"model": name, "messages": HELLO}).encode()) for name in names]
        said += [post(url, json.dumps({"model": name, "messages": HELLO, "stream": True}).encode()) for name in names]
        said += [post(url, b"{"), post(url, json.dumps({"model": "nobody", "messages": HELLO}).encode())]
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        connection.request("GET", "/metrics")
        said.append(connection.getresponse().read().decode())
        connection.close()
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert [text[:3] for text in said[:4]] == ["200", "502", "502", "502"]
    assert {seen["authorization"] for seen in upstream.seen} == {f"Bearer {CANARY}"}, "the provider does get it"
    written = [out, err, *said] + [path.read_bytes().decode("latin-1") for path in tmp_path.iterdir()]
    assert not [text for text in written if CANARY in text]
    lines = [line for line in err.splitlines() if "request" in line and "status=200" in line]
    assert lines, err
    if form == "json":
        assert all(json.loads(line)["level"] for line in err.splitlines())


# Serves with a bug put in: a request that says so meets an error while its headers are at hand.
BUGGY = """
import sys
from waypost.gateway.choice.choosing import Choosing
choose = Choosing.choose
def broken(self, asked, headers, *more, **settings):
    if asked.query.text == "Meet a bug":
        local = dict(headers)
        raise RuntimeError(f"a bug at {len(local)} headers")
    return choose(self, asked, headers, *more, **settings)
Choosing.choose = broken
sys.argv = ["waypost", *sys.argv[1:]]
from waypost.cli import main
main()
"""


@pytest.fixture
def secrets(postgres_url, redis_url, collector) -> Iterator[dict[str, str]]:
    """The environment of a deployment: a provider's key, passwords of Postgres and Redis, a collector's key."""
    import psycopg
    import redis
    from sqlalchemy import make_url

    url, role = make_url(postgres_url), f"waypost_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {role}")
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{CANARY}-postgres'")
        connection.execute(f'ALTER DATABASE "{url.database}" OWNER TO {role}')
        connection.execute(f"ALTER SCHEMA public OWNER TO {role}")
    with redis.Redis.from_url(redis_url) as server:
        server.execute_command("ACL", "SETUSER", "waypost", "on", f">{CANARY}-redis", "allcommands", "allkeys")
        yield {
            "KEY": f"{CANARY}-provider",
            "DATABASE_URL": url.set(username=role, password=f"{CANARY}-postgres").render_as_string(hide_password=False),
            "REDIS_URL": redis_url.replace("://", f"://waypost:{CANARY}-redis@", 1),
            "WRONG_REDIS_URL": redis_url.replace("://", f"://waypost:{CANARY}-wrong@", 1),
            "COLLECTOR_KEY": f"{CANARY}-collector",
            "COLLECTOR_URL": collector.url,
        }
        server.execute_command("ACL", "DELUSER", "waypost")


def kept(environment: dict[str, str]) -> str:
    """All that is in the database and in Redis."""
    import psycopg
    import redis

    told = []
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            told += [f"{table}: {row}" for row in connection.execute(f'SELECT * FROM "{table}"')]
    with redis.Redis.from_url(environment["REDIS_URL"]) as server:
        told += [f"{key!r}: {server.dump(key)!r}" for key in server.scan_iter()]
    return "\n".join(told)


def test_no_secret_of_a_whole_deployment_is_written(upstream, collector, secrets, tmp_path: Path):
    """Passwords of stores, keys of callers, providers and collectors: through checks, answers, refusals and a bug."""
    names = ("small", "error500", "refused401", "cut")
    rows = "\n".join(f"  - {{name: {n}, kind: openai, base_url: '{upstream.url}', api_key: '${{KEY}}'}}" for n in names)
    config = tmp_path / "waypost.yaml"
    config.write_text(
        f"models:\n{rows}\nrouter: cheapest\nserver: {{port: 0}}\nstore: ${{DATABASE_URL}}\nkeys: required\n"
        "cache: {redis: '${REDIS_URL}'}\nlimits: {redis: '${WRONG_REDIS_URL}'}\nreliability: {retries: 0}\n"
        "traces: {endpoint: '${COLLECTOR_URL}', headers: {x-key: '${COLLECTOR_KEY}'}}\n"
        "logs: {format: json, requests: all, level: debug}\n"
    )
    environment = {**os.environ, **secrets}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "waypost", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        return done.stdout + done.stderr

    made = json.loads(run("keys", "create", "--name", "app", "--config", str(config), "--json").splitlines()[0])
    key = made["secret"]
    said = [run("check-config", str(config), "--json"), run("check-config", str(config), "--connect", "--json")]
    said.append(run("keys", "list", "--config", str(config)))
    command = [sys.executable, "-c", BUGGY, "serve", "--config", str(config), "--json"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        url = json.loads(process.stdout.readline())["url"]
        bug = [{"role": "user", "content": "Meet a bug"}]
        bodies = [{"model": name, "messages": HELLO} for name in names]
        bodies += [{**body, "stream": True} for body in bodies] + [{"model": "auto", "messages": bug}]
        answers = [post(url, json.dumps(body).encode(), key) for body in bodies]
        answers += [post(url, b"{", key), post(url, json.dumps(bodies[0]).encode(), f"{CANARY}-wrong-key")]
        decision = re.search(r"x-waypost-decision: (\w+)", answers[0])[1]
        pages = (
            "/health/ready",
            "/health/live",
            "/metrics",
            "/v1/models",
            "/openapi.json",
            f"/v1/decisions/{decision}",
        )
        for path in pages:
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
            connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
            said.append(connection.getresponse().read().decode())
            connection.close()
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert [text[:3] for text in answers[:4]] == ["200", "502", "502", "502"]
    assert [text[:3] for text in answers[8:]] == ["500", "400", "401"]
    assert "a bug at" in err and "a bug at" not in answers[8]
    assert {headers["x-key"] for _, headers in collector.heads} == {f"{CANARY}-collector"}, "the collector does get it"
    assert len(collector.spans()) >= 2 * len(names)
    database = kept(secrets)
    assert decision in database
    written = [out, err, *said, *answers, database, *(body.decode("latin-1") for body in collector.bodies)]
    written += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in written if CANARY in text or key in text]
    assert all(json.loads(line)["level"] for line in err.splitlines())
