"""A config is taken up while requests are served: whole or not at all, and no request fails of it."""

from __future__ import annotations

import logging
import queue
import re
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import openai
import pytest

HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def said(caplog):
    """What the gateway says of its reloads, as it says it."""
    told: queue.Queue[str] = queue.Queue()
    handler = logging.Handler()
    handler.emit = lambda record: told.put(record.getMessage())
    logger = logging.getLogger("waypost.gateway.running.reload")
    logger.addHandler(handler)
    yield told
    logger.removeHandler(handler)


def names(served) -> list[str]:
    return [model.id for model in served.client.models.list() if not model.id.startswith("auto")]


@contextmanager
def load_of(served, threads: int):
    """Requests without a pause from several clients; yields the list of statuses that grows."""
    statuses: list[int] = []
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            try:
                served.client.chat.completions.create(model="auto", messages=HI)
                statuses.append(200)
            except openai.APIStatusError as error:
                statuses.append(error.status_code)

    with ThreadPoolExecutor(threads) as pool:
        asking = [pool.submit(ask) for _ in range(threads)]
        try:
            yield statuses
        finally:
            enough.set()
        for one in asking:
            one.result(30)


def test_no_request_fails_during_twenty_reloads_and_none_is_lost_from_the_metrics(serve, pool, tmp_path):
    config, texts = tmp_path / "waypost.yaml", [pool("a"), pool("b", "a"), pool("a", "c")]
    served = serve(texts[0])
    with load_of(served, 3) as statuses:
        for number in range(20):
            config.write_text(texts[number % 3] + "\nserver: {port: 0}\nstore: waypost.sqlite")
            before = len(statuses)
            assert served.gateway.reload().result(30)
            while len(statuses) <= before:  # at least one request a reload
                threading.Event().wait(0.001)
    assert set(statuses) == {200}
    page = urllib.request.urlopen(f"{served.url}/metrics").read().decode()
    counted = [line for line in page.splitlines() if re.match(r'waypost_requests_total\{.*status="200"', line)]
    assert sum(int(line.rsplit(" ", 1)[1]) for line in counted) == len(statuses)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("models: [", "this is not YAML"),
        ("models:\n  - {name: b, kind: openia}", "Did you mean 'openai'"),
        ("models:\n  - {name: b, kind: openai, api_key: '${NONE}'}", "NONE, which is not set"),
        ("models:\n  - {name: b, kind: openai}\nstore: no/such/folder/rows.sqlite", "store"),
    ],
)
def test_a_broken_config_changes_nothing_and_the_log_says_why(serve, pool, tmp_path, said, text, why):
    served = serve(pool("a"))
    (tmp_path / "waypost.yaml").write_text(text)
    assert served.gateway.reload().result(30) is False
    told = said.get(timeout=30)
    assert told.startswith("the config was not reloaded, and the old one goes on: ") and why in told
    assert names(served) == ["a"]
    assert served.client.chat.completions.create(model="auto", messages=HI).choices


def test_a_request_under_way_ends_on_the_parts_that_it_began_with(serve, pool, tmp_path, upstream):
    served = serve(pool("stepwise"))
    stream = served.client.chat.completions.create(model="stepwise", messages=HI, stream=True)
    first = next(iter(stream)).choices[0].delta.content
    (tmp_path / "waypost.yaml").write_text(pool("a") + "\nstore: other.sqlite")
    assert served.gateway.reload().result(30)
    with pytest.raises(openai.NotFoundError):
        served.client.chat.completions.create(model="stepwise", messages=HI)
    upstream.go_on.set()
    rest = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert first + "".join(rest) == "The capital is Paris."


@pytest.mark.parametrize("how", ["written", "renamed", "linked"])
def test_a_changed_file_is_taken_up_by_itself(serve, pool, tmp_path, said, how):
    config = tmp_path / "waypost.yaml"
    served = serve(pool("a"))
    text = pool("b") + "\nserver: {port: 0}\nstore: waypost.sqlite"
    if how == "written":
        config.write_text(text)
    elif how == "renamed":
        (tmp_path / "new.yaml").write_text(text)
        (tmp_path / "new.yaml").rename(config)
    else:  # as Kubernetes changes a ConfigMap
        (tmp_path / "..data").mkdir()
        (tmp_path / "..data" / "waypost.yaml").write_text(text)
        (tmp_path / "link").symlink_to(tmp_path / "..data" / "waypost.yaml")
        (tmp_path / "link").replace(config)
    assert "was reloaded" in said.get(timeout=30)
    assert names(served) == ["b"]


def test_where_it_listens_does_not_change_and_that_is_said(serve, pool, tmp_path, said):
    served = serve(pool("a"))
    (tmp_path / "waypost.yaml").write_text(pool("b") + "\nserver: {port: 1, workers: 3, max_body_bytes: 300}")
    assert served.gateway.reload().result(30)
    assert said.get(timeout=30) == "of `server` only `max_body_bytes` and `max_in_flight` change before the next start"
    assert names(served) == ["b"]
    with pytest.raises(openai.APIStatusError, match="300"):
        served.client.chat.completions.create(model="b", messages=[{"role": "user", "content": "x" * 400}])


def test_a_gateway_that_is_about_to_end_reloads_nothing_and_stays_unready(serve, pool, tmp_path, upstream):
    served = serve(pool("a") + "\nserver: {port: 0, shutdown_delay_seconds: 30}")
    (tmp_path / "waypost.yaml").write_text(pool("b"))
    asked = threading.Event()
    read = served.gateway._reloading._again

    def slowly():
        asked.set()
        served.gateway._drain()  # SIGTERM comes while the new config is read
        return read()

    served.gateway._reloading._again = slowly
    assert served.gateway.reload().result(30) and asked.is_set()
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(f"{served.url}/health/ready")
    assert served.gateway.reload().result(30) is False
    served.gateway.force_exit = True


def test_the_form_of_the_lines_changes_with_the_config(serve, pool, tmp_path, monkeypatch):
    changed: list[str] = []
    monkeypatch.setattr("waypost.gateway.running.reload.configure", lambda logs: changed.append(logs.format))
    served = serve(pool("a"))
    for text in (pool("a") + "\nlogs: {format: json}", pool("b") + "\nlogs: {format: json}"):
        (tmp_path / "waypost.yaml").write_text(text)
        assert served.gateway.reload().result(30)
    assert changed == ["json"]
