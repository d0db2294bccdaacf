"""``traces:`` where spans are sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from waypost.gateway.entry import Entry
from waypost.gateway.sections.kinds import SECRET, TEXT, Kind, named, number, setting
from waypost.pool.secret import Secret


def _endpoint(entry: Entry) -> str:
    url = entry.text()
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.query or parts.fragment:
        raise entry.error("must be the address of a collector that takes OTLP over HTTP, like http://127.0.0.1:4318")
    if parts.username is not None:
        raise entry.error("must hold no name or password; say `headers: {authorization: '${VARIABLE}'}`")
    return url


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Where spans are sent, and how many."""

    endpoint: str = setting(
        Kind(_endpoint, TEXT.schema), "A collector's OTLP/HTTP address, like http://127.0.0.1:4318."
    )
    sample: float = setting(number(0.0, 1.0), "Share of requests that are traced, if the client does not say.", 1.0)
    service: str = setting(TEXT, "The service.name of the spans.", "waypost")
    headers: Mapping[str, Secret] = setting(named(SECRET), "Headers for the collector, such as its key.", factory=dict)
