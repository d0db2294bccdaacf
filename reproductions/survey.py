"""Doing More with Less: the survey's way of sorting routers.

Claim: Every way of routing can be told apart by when it decides, what it looks at, and how it learns.

Paper: Varangot-Reille et al. 2025, arXiv 2502.00409 (a survey); it measures nothing of its own.

Tested: That every router of this project declares one label for each of the three questions, from a closed list, and
that no two questions are confused: what decides before an answer does not look at one.

Not tested: Anything about quality or cost; there is nothing to run.
"""

from __future__ import annotations

from claims import Finding, Options, run

from waypost.routers import KINDS
from waypost.routers.taxonomy import labels


def measure(_: Options) -> Finding:
    """Sort every router by its labels."""
    found = {name: labels(kind) for name, kind in KINDS.items()}
    confused = [name for name, its in found.items() if ("answer" in its.looks_at) != (its.when == "after an answer")]
    return Finding(
        measured={name: f"{its.when}; {', '.join(its.looks_at)}; {its.learns}" for name, its in found.items()},
        holds=None,
        note=f"A survey: nothing to run. All {len(found)} routers declare their labels"
        + (f", {', '.join(confused)} confuse them." if confused else ", and waypost systems lists them."),
    )


if __name__ == "__main__":
    run(__doc__, measure, system="Doing More with Less (survey)")
