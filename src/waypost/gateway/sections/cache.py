"""``cache:`` how long answers are kept, where, and whether a request may be answered by its meaning."""

from __future__ import annotations

from dataclasses import dataclass

from waypost.encoders import named
from waypost.errors import BadInput
from waypost.gateway.entry import Entry
from waypost.gateway.sections.kinds import FLAG, REDIS, TEXT, Kind, number, section, setting, whole_number
from waypost.pool.secret import Secret


def _encoder(entry: Entry) -> str:
    try:
        return named(entry.text()).name
    except BadInput as error:
        problem = f"names no encoder, got {entry.got()}" if entry.names else f"names {error}"
        raise entry.error(problem) from None


@dataclass(frozen=True, slots=True)
class SemanticSettings:
    """When a request is answered by its meaning; ``threshold`` is a cosine."""

    threshold: float = setting(number(0.5, 1), "Least cosine of the vectors of two last turns.", 0.9)
    same_words: bool = setting(FLAG, "Whether the words must be the same too, but for case and the like.", True)
    entries: int = setting(whole_number(1, 100_000), "Most answers of a tenant that are found by meaning.", 1000)
    encoder: str = setting(Kind(_encoder, TEXT.schema), "What turns texts into vectors.", "static-256")


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How long answers are kept and where: in ``redis``, or else in at most ``max_bytes`` of memory."""

    seconds: float = setting(number(1), "How long an answer is kept.", 3600.0)
    max_bytes: int = setting(whole_number(10_000), "Most memory for answers.", 100_000_000)
    redis: Secret | None = setting(REDIS, "URL of a Redis that keeps the answers instead.", None)
    semantic: SemanticSettings | None = setting(
        section(SemanticSettings), "Answer too what says the same in other words.", None
    )


_SECTION = section(CacheSettings)


def _cache(entry: Entry) -> CacheSettings:
    settings: CacheSettings = _SECTION.read(entry)
    if settings.redis is not None and "max_bytes" in entry.fields():
        raise entry.error("has `redis`, which has a limit of its own (maxmemory); remove `max_bytes`")
    return settings


CACHE = Kind(_cache, _SECTION.schema)
