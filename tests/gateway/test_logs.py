from __future__ import annotations

import http.client
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from waypost.gateway.logs import JsonLines, RequestLines, TextLines

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


def post(address: str, body: bytes) -> str:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {CANARY}-client"})
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
