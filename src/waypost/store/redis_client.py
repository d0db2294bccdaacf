"""A client of Redis, whose address is understood before anything is asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redis.asyncio import Redis


def redis_client(url: str, **options: Any) -> Redis:
    """A client that is not connected yet; ``options`` go before those in the URL.

    Raises:
        ModuleNotFoundError: the package redis is missing.
        ValueError: the URL is none of a Redis, or has options that nobody knows.  It is not quoted, since it may hold
            a password.
    """
    from redis.asyncio import Redis

    client = Redis.from_url(url, **options)
    pool: Any = client.connection_pool
    pool.connection_kwargs.update(options)
    try:
        pool.make_connection()
    except (TypeError, ValueError):
        raise ValueError("the URL has options that the client of Redis does not know") from None
    return client
