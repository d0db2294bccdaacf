"""Every router of tokens keeps the promises of `waypost.experts.checks`, with each of its settings."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from waypost.experts import ROUTERS
from waypost.experts.checks import CHECKS, plain_experts

CASES = [
    pytest.param(
        partial(made, **settings),
        getattr(made, "experts_for_checks", plain_experts),
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


def test_the_page_tells_of_every_router_and_of_whether_it_looks_ahead() -> None:
    page = (Path(__file__).parents[2] / "docs" / "experts.md").read_text()
    missing = [name for name, made in ROUTERS.items() if f"| `{name}`{'' if made.causal else ' *'} |" not in page]
    assert not missing
