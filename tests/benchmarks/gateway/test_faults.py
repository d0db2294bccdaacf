"""Every row of the table of faults, as a test of Waypost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "gateway"
_PLACES = [str(FOLDER), str(FOLDER.parent)]
sys.path[:0] = _PLACES
import faults  # noqa: E402 - only to be found there

for _place in _PLACES:
    sys.path.remove(_place)


@pytest.fixture(scope="module")
def beds() -> Iterator[faults.Beds]:
    """Gateways that are started when a check first needs them, and shared."""
    with faults.Beds("waypost") as started:
        yield started


@pytest.mark.parametrize("check", faults.CHECKS, ids=lambda check: check.name)
def test_waypost_does_what_is_right(beds: faults.Beds, check: faults.Check) -> None:
    found = check.run(beds.of(check))
    assert found.right, f"{check.sent}: {found.did}; right is: {check.right}"


def test_each_check_has_a_name_of_its_own() -> None:
    names = [check.name for check in faults.CHECKS]
    assert len(names) == len(set(names)) > 50


def test_a_check_that_is_not_for_others_says_why() -> None:
    rows = list(faults.measured("litellm", [check for check in faults.CHECKS if check.ours_only is not None]))
    assert rows and all(row["right"] is None and row["did"] for row in rows)
