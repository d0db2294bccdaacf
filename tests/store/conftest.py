"""Stores to write to."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, tmp_path):
    """A file that is not there yet, and the URL of an empty database."""
    return tmp_path / "rows.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def postgres(postgres_in):
    """A Postgres that a test may kill."""
    with tempfile.TemporaryDirectory(prefix="wp-pg-", ignore_cleanup_errors=True) as folder:
        server = postgres_in(Path(folder) / "data")
        yield server
        server.ensure_postgres_running()
        server.cleanup()
