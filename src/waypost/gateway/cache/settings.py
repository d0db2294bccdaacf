"""The section ``cache`` of a config."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from waypost.encoders import named
from waypost.errors import BadInput
from waypost.gateway.entry import Entry, Reader, read
from waypost.pool.secret import Secret


@dataclass(frozen=True, slots=True)
class SemanticSettings:
    """When a request is answered by its meaning: ``threshold`` is a cosine, ``entries`` the most of a tenant."""

    threshold: float = 0.9
    entries: int = 1000
    encoder: str = "static-256"
    same_words: bool = True


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How long answers are kept and where: in ``redis``, or else in at most ``max_bytes`` of memory."""

    seconds: float = 3600.0
    max_bytes: int = 100_000_000
    redis: Secret | None = None
    semantic: SemanticSettings | None = None


def cache(entry: Entry) -> CacheSettings:
    """The section ``cache``.

    Raises:
        BadConfig: a field is unknown or has a value that it cannot have.
    """
    readers: dict[str, Reader] = {
        "seconds": lambda seconds: seconds.number(least=1),
        "max_bytes": lambda limit: limit.whole_number(least=10_000),
        "redis": _url,
        "semantic": _semantic,
    }
    given = read(entry.fields(readers), readers)
    if "redis" in given and "max_bytes" in given:
        raise entry.error("has `redis`, which has a limit of its own (maxmemory); remove `max_bytes`")
    return CacheSettings(**given)


def _semantic(entry: Entry) -> SemanticSettings:
    readers: dict[str, Reader] = {
        "threshold": _threshold,
        "entries": lambda most: most.whole_number(1, 100_000),
        "encoder": _encoder,
        "same_words": Entry.flag,
    }
    return SemanticSettings(**read(entry.fields(readers), readers))


def _threshold(entry: Entry) -> float:
    threshold = entry.number(least=0.5)
    if threshold > 1:
        raise entry.error(f"is a cosine, so it must be 0.5 to 1, got {threshold:g}")
    return threshold


def _encoder(entry: Entry) -> str:
    try:
        return named(entry.text()).name
    except BadInput as error:
        raise entry.error(str(error)) from None


def _url(entry: Entry) -> Secret:
    text = entry.text()
    try:
        password = urlsplit(text).password
    except ValueError:
        raise entry.error("must be a URL like redis://127.0.0.1:6379/0, or a variable like ${REDIS_URL}") from None
    if password is not None and not entry.names:
        raise entry.error("holds a password, which never stands in this file; use a variable like ${REDIS_URL}")
    return Secret(text)
