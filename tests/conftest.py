"""Fixtures of every room."""

import os
from pathlib import Path

import pytest

from waypost.pool import download


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The real model's file, brought as a user brings it and kept in the user's cache."""
    return download.add("smollm2-135m", cache=download.cache_folder(os.environ))
