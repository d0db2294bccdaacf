"""``server:`` where to listen, and the limits of one process."""

from __future__ import annotations

from dataclasses import dataclass

from waypost.gateway.sections.kinds import TEXT, number, setting, whole_number

_SECONDS = number(least=0.01)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where to listen, and the limits; times are in seconds."""

    host: str = setting(TEXT, "Address to listen on; 0.0.0.0 is every address of this machine.", "127.0.0.1")
    port: int = setting(whole_number(0, 65535), "Port to listen on; 0 is one that is free.", 8080)
    max_body_bytes: int = setting(whole_number(least=1), "Longest body of a request, in bytes.", 10_000_000)
    max_in_flight: int = setting(whole_number(least=1), "Most requests under way at once; more get a 503.", 256)
    max_connections: int = setting(whole_number(least=1), "Most connections at once; more get a 503.", 4096)
    max_headers: int = setting(whole_number(least=1), "Most headers of a request; more get a 431.", 100)
    max_head_bytes: int = setting(whole_number(least=256), "Longest head of a request; a longer one gets a 431.", 65536)
    head_seconds: float = setting(_SECONDS, "Time for a request's head to arrive; then a 408.", 10.0)
    body_idle_seconds: float = setting(_SECONDS, "Longest silence within a request's body; then a 408.", 15.0)
    body_seconds: float = setting(_SECONDS, "Time for a request's whole body to arrive; then a 408.", 120.0)
    # Longer than the pools of common clients keep an idle connection, so that they close it, and not we under them.
    idle_seconds: float = setting(_SECONDS, "How long a connection is kept for the next request.", 75.0)
    stall_seconds: float = setting(_SECONDS, "How long a client may leave its answer unread.", 60.0)
    shutdown_delay_seconds: float = setting(
        number(least=0.0), "After SIGTERM, how long to serve on as unready before the port is closed.", 0.0
    )
    drain_seconds: int = setting(whole_number(), "After that, how long requests under way may take to finish.", 30)
    workers: int = setting(whole_number(1, 256), "Processes that share the port; one is right for one core.", 1)
