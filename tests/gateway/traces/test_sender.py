"""How spans reach a collector, and what is said when they do not."""

from __future__ import annotations

import time

import pytest

from waypost.errors import BadConfig
from waypost.gateway.sections.traces import TraceSettings
from waypost.gateway.settings import load
from waypost.gateway.traces.sender import Sender
from waypost.gateway.traces.span import Span
from waypost.pool.secret import Secret

SPAN = Span("POST /x", "4b" * 16, "0f" * 8, "", "", True, False, 1, 2, False, {"a": 1, "b": None}, {"c": "d"})


def sender(endpoint: str) -> Sender:
    made = Sender(TraceSettings(endpoint, headers={"x-key": Secret("canary-collector")}))
    made.open()
    return made


def test_what_waits_at_the_end_is_sent(collector):
    sends = sender(collector.url + "/v1/traces")
    for _ in range(1500):
        sends.put(SPAN)
    sends.close()
    assert len(collector.spans()) == sends.sent == 1500
    assert {path for path, _ in collector.heads} == {"/v1/traces"}
    assert [pair.key for pair in collector.spans()[0].attributes] == ["a", "c"]


def test_a_collector_that_is_busy_is_asked_again(collector):
    collector.status = 503
    sends = sender(collector.url)
    sends.put(SPAN)
    with collector.changed:
        assert collector.changed.wait_for(lambda: collector.heads, 30)
        collector.status = 200
    assert len(collector.wait(1)) == 1
    sends.close()
    assert (sends.sent, sends.lost) == (1, 0)


def test_what_is_refused_is_counted_and_said_once(collector, caplog):
    collector.status = 401
    sends = sender(collector.url)
    for count in (1, 2):
        sends.put(SPAN)
        with collector.changed:
            assert collector.changed.wait_for(lambda count=count: len(collector.heads) == count, 30)
    sends.close()
    assert (sends.sent, sends.lost) == (0, 2)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "HTTP 401" in line and "1 are lost so far" in line
    assert collector.heads[0][1]["x-key"] == "canary-collector" and "canary" not in caplog.text


def test_without_a_collector_the_oldest_spans_are_lost_and_nobody_waits():
    sends = Sender(TraceSettings("http://127.0.0.1:9"))
    began = time.monotonic()
    for _ in range(10_000):
        sends.put(SPAN)
    assert time.monotonic() - began < 2
    assert sends.lost == 10_000 - 8192
    sends.close()


@pytest.mark.parametrize(
    ("traces", "told"),
    [
        ("{endpoint: 'collector:4318'}", "must be the address of a collector"),
        ("{endpoint: 'http://user:word@collector:4318'}", "must hold no name or password"),
        ("{endpoint: 'http://collector:4318', headers: {x-key: plain}}", "must name an environment variable"),
        ("{endpoint: 'http://collector:4318', sample: 2}", "must be 0 to 1"),
        ("{}", "needs `endpoint`"),
    ],
)
def test_a_config_that_cannot_be_meant_is_refused(tmp_path, traces, told):
    config = tmp_path / "waypost.yaml"
    config.write_text(f"models: [{{name: sums, kind: arithmetic}}]\ntraces: {traces}\n")
    with pytest.raises(BadConfig, match=told):
        load(config, {})
