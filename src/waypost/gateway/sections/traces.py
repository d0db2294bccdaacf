"""``traces:`` where OpenTelemetry's spans go."""

from __future__ import annotations

from urllib.parse import urlsplit

from waypost.gateway.entry import Entry


def _endpoint(entry: Entry) -> str:
    text = entry.text()
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise entry.error("must be the URL of an OTLP/HTTP receiver without a key in it, like http://127.0.0.1:4318")
    return text.rstrip("/")
