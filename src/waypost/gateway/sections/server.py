"""``server:`` where to listen, and the limits of one process."""

from __future__ import annotations

from dataclasses import dataclass

from waypost.gateway.sections.kinds import TEXT, setting, whole_number


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where to listen, and the limits."""

    host: str = setting(TEXT, "Address to listen on; 0.0.0.0 is every address of this machine.", "127.0.0.1")
    port: int = setting(whole_number(0, 65535), "Port to listen on; 0 is one that is free.", 8080)
    max_body_bytes: int = setting(whole_number(least=1), "Longest body of a request, in bytes.", 10_000_000)
    max_in_flight: int = setting(whole_number(least=1), "Most requests under way at once; more get a 503.", 256)
    workers: int = setting(whole_number(1, 256), "Processes that share the port; one is right for one core.", 1)
