import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from waypost.gateway.seeing.metrics import Metrics, cache_families
from waypost.store import Attempt
from waypost.types import Answer


def samples(metrics: Metrics, *more) -> dict:
    families = text_string_to_metric_families(metrics.render(more))
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_a_request_is_seen_by_api_status_model_time_tokens_and_money():
    metrics = Metrics()
    answer = Answer("large", "Hi", 10, 5, tokens_cached=4, tokens_reasoning=2)
    attempts = [Attempt("small", "failed"), Attempt("large", "ok", usd=0.25)]
    metrics.record("chat", 200, "large", seconds=0.2, first=0.04, overhead=0.0002, attempts=attempts, answer=answer)
    found = samples(metrics)
    assert found["waypost_requests_total", "chat", "200", "large"] == 1
    assert found["waypost_request_seconds_bucket", "chat", "0.1"] == 0
    assert found["waypost_request_seconds_bucket", "chat", "0.25"] == 1
    assert found["waypost_first_byte_seconds_sum", "chat"] == 0.04
    assert found["waypost_overhead_seconds_bucket", "0.00025"] == 1
    assert found["waypost_calls_total", "small", "failed"] == found["waypost_calls_total", "large", "ok"] == 1
    assert found["waypost_fallbacks_total",] == 1
    assert found["waypost_usd_total", "large"] == 0.25
    kinds = {kind: found["waypost_tokens_total", "large", kind] for kind in ("in", "out", "cached", "reasoning")}
    assert kinds == {"in": 10, "out": 5, "cached": 4, "reasoning": 2}


def test_an_answer_whose_cost_nobody_knows_is_counted_and_not_taken_for_free():
    metrics = Metrics()
    metrics.record("chat", 200, "mine", seconds=0.1, attempts=[Attempt("mine", "ok")])
    found = samples(metrics)
    assert found["waypost_unpriced_calls_total",] == 1
    assert ("waypost_usd_total", "mine") not in found


def test_a_refusal_is_counted_with_the_kind_of_limit():
    metrics = Metrics()
    metrics.refused("chat", 429, "requests")
    metrics.refused("chat", 400)
    found = samples(metrics)
    assert found["waypost_limited_total", "requests"] == 1
    assert found["waypost_requests_total", "chat", "400", "-"] == 1


def test_the_cache_and_the_process_are_on_the_page():
    found = samples(Metrics(), *cache_families({"exact": 3, "miss": 1}))
    assert found["waypost_cache_total", "exact"] == 3
    assert 10e6 < found["process_resident_memory_bytes",] < 10e9
    assert found["process_cpu_seconds_total",] > 0
    assert abs(found["process_start_time_seconds",] - time.time()) < 3600


def test_every_number_is_given_once_with_its_help_and_kind():
    metrics = Metrics()
    metrics.record("chat", 200, "a", seconds=1)
    metrics.record("messages", 200, "a", seconds=1)
    page = metrics.render()
    names = [line.split(" ")[0] for line in page.splitlines() if not line.startswith("#")]
    assert len(line_set := set(names)) == len(names), sorted(names, key=names.count)[-1:]
    assert line_set
    for family in text_string_to_metric_families(page):
        assert family.documentation and family.type != "unknown"


@pytest.mark.parametrize("attempts", [[Attempt("small", "ok", 0.1, 0.01)]])
def test_recording_is_cheap(attempts):
    """A few microseconds; the bound is loose, since the machine may be busy."""
    metrics, answer = Metrics(), Answer("small", "Hi", 10, 5)

    def thousand() -> float:
        start = time.perf_counter()
        for _ in range(1000):
            metrics.record(
                "chat", 200, "small", seconds=0.2, first=0.1, overhead=0.0002, attempts=attempts, answer=answer
            )
        return time.perf_counter() - start

    best = min(thousand() for _ in range(20)) * 1000
    assert best < 12, f"{best:.1f} µs a request"
