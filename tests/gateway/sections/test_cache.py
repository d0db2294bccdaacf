from pathlib import Path

import pytest

from waypost.errors import BadConfig
from waypost.gateway.entry import Entry
from waypost.gateway.sections.cache import CACHE, CacheSettings, SemanticSettings


def entry(value, name="cache", names=()) -> Entry:
    if isinstance(value, dict):
        value = {key: entry(inner, f"{name}.{key}") for key, inner in value.items()}
    return Entry(Path("waypost.yaml"), 4, name, value, written=str(value), names=names)


def test_an_empty_section_has_the_defaults():
    assert CACHE.read(entry({})) == CacheSettings(seconds=3600, max_bytes=100_000_000, redis=None, semantic=None)


def test_each_field_is_read():
    read = CACHE.read(entry({"seconds": 60, "max_bytes": 20_000, "semantic": {"threshold": 0.9, "same_words": False}}))
    assert read == CacheSettings(60, 20_000, None, SemanticSettings(threshold=0.9, same_words=False))


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"second": 5}, "'cache.second' is unknown; allowed here are seconds, max_bytes, redis, semantic"),
        ({"seconds": 0}, "'cache.seconds' must be at least 1, got 0"),
        ({"semantic": {"threshold": 95}}, "'cache.semantic.threshold' must be 0.5 to 1, got 95"),
        ({"semantic": {"encoder": "statc"}}, "no encoder 'statc'"),
        ({"redis": "redis://h", "max_bytes": 20_000}, "remove `max_bytes`"),
        ({"redis": "redis://:hunter2@h"}, "holds a password, which never stands in this file"),
    ],
)
def test_a_mistake_is_told_with_its_field(section, sentence):
    with pytest.raises(BadConfig) as raised:
        CACHE.read(entry(section))
    assert sentence in str(raised.value) and "hunter2" not in str(raised.value)


def test_a_password_may_come_from_the_environment():
    section = entry({})
    section.value["redis"] = entry("redis://:hunter2@h", "cache.redis", names=("REDIS_URL",))
    settings = CACHE.read(section)
    assert settings.redis.reveal() == "redis://:hunter2@h" and "hunter2" not in repr(settings)
