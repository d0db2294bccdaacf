"""Several processes tell their numbers as one, and a disk that refuses costs nothing but these."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from waypost.gateway.running.pages import Pages
from waypost.gateway.seeing.metrics import Metrics, learning_families, limits_families, log_families


class Redis:
    def __init__(self, up: bool, untold: int) -> None:
        self.up, self.untold = up, untold


class Learner:
    learnt, pending = 3, range(4)


def told(up: bool, untold: int, in_flight: int = 2) -> str:
    families = [*log_families(1, 5), *limits_families(Redis(up, untold)), *learning_families(Learner())]
    return Metrics(in_flight=in_flight).render(families)


def test_each_number_says_what_several_processes_are_together(tmp_path):
    first, second = Pages(tmp_path, "1"), Pages(tmp_path, "2")
    first.write(told(up=True, untold=3))
    second.write(told(up=False, untold=4))
    families = list(text_string_to_metric_families(second.merged(told(up=False, untold=4))))
    found = {sample.name: sample.value for family in families for sample in family.samples}
    assert found["waypost_redis_up"] == 0, "not all of them keep their limits together"
    assert found["waypost_redis_untold"] == 7
    assert found["waypost_requests_in_flight"] == 4
    assert found["waypost_log_queue_length"] == 10
    assert found["waypost_decisions_pending"] == 8
    assert found["waypost_outcomes_learned_total"] == 6
    assert found["waypost_log_rows_dropped_total"] == 2


def test_what_a_dead_process_had_counted_stays_and_what_it_had_under_way_goes(tmp_path):
    first, second = Pages(tmp_path, "1"), Pages(tmp_path, "2")
    first.write(told(up=False, untold=3))
    Pages.bury(tmp_path, "1")
    mine = told(up=True, untold=0, in_flight=1)
    second.write(mine)
    found = second.merged(mine).splitlines()
    assert {"waypost_redis_up 1", "waypost_redis_untold 0", "waypost_requests_in_flight 1"} <= set(found)
    assert "waypost_outcomes_learned_total 6" in found


def test_a_disk_that_refuses_is_said_once_and_the_process_goes_on(tmp_path, caplog):
    folder = tmp_path / "pages"
    pages = Pages(folder, "1")
    pages.write(told(up=True, untold=0))
    pages.write(told(up=True, untold=0))
    assert [record.getMessage()[:43] for record in caplog.records] == ["the metrics of this process cannot be kept,"]
    folder.mkdir()
    pages.write(told(up=True, untold=1))
    assert "waypost_redis_untold 1\n" in Pages(folder, "2").merged(told(up=True, untold=0))
