import math

from prometheus_client.parser import text_string_to_metric_families

from waypost.gateway.seeing.exposition import Family, Histogram, counter, gauge, page


def test_prometheus_reads_what_is_written():
    seconds = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        seconds.observe(value)
    families = [
        counter("a_total", "Things.", 3),
        gauge("b", "A share.", 0.1, "least"),
        Family("c_seconds", "histogram", "How long.", {(("api", "chat"),): seconds}),
        Family("d", "gauge", "Odd words.", {(("word", 'say "a\\b"\nc'),): math.inf}),
    ]
    read = {family.name: family for family in text_string_to_metric_families(page(families))}
    assert [(read[name].type, read[name].documentation) for name in read] == [
        ("counter", "Things."),
        ("gauge", "A share."),
        ("histogram", "How long."),
        ("gauge", "Odd words."),
    ]
    assert read["a"].samples[0].value == 3 and read["b"].samples[0].value == 0.1
    assert [(s.name, s.labels.get("le"), s.value) for s in read["c_seconds"].samples] == [
        ("c_seconds_bucket", "0.1", 2),
        ("c_seconds_bucket", "1.0", 3),
        ("c_seconds_bucket", "+Inf", 4),
        ("c_seconds_sum", None, 7.65),
        ("c_seconds_count", None, 4),
    ]
    assert read["d"].samples[0].labels == {"word": 'say "a\\b"\nc'} and read["d"].samples[0].value == math.inf
