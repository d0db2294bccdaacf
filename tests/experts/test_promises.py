"""Every router of tokens keeps the promises of `waypost.experts.checks`, with each of its settings."""

from __future__ import annotations

from functools import partial

import pytest

from waypost.experts import ROUTERS
from waypost.experts.checks import CHECKS, _feed_forward

CASES = [
    pytest.param(
        partial(made, **settings),
        getattr(made, "experts_for_checks", _feed_forward),
        check,
        id=f"{name}-{i}-{check.__name__}",
    )
    for name, made in ROUTERS.items()
    for i, settings in enumerate(made.examples())
    for check in CHECKS
]


@pytest.mark.parametrize(("make", "experts", "check"), CASES)
def test_promise(make, experts, check) -> None:
    check(make, experts)
