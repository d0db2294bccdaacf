"""The audit of every shipped router on the shipped table and, with ``--data``, on RouterBench's rows.

Appends one row for each router and table with its findings; and on the shipped table one for each router of how often a
planted trigger works and is found, and how often a clean router raises a false alarm, over several seeds:

    python benchmarks/audit.py
    python benchmarks/audit.py --data FOLDER    # the public data, which has routerbench/*.csv
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

import rows
from waypost import embedded, routers
from waypost.evaluation.audit import Settings, Subject, audit, findings, plant, triggers
from waypost.gateway import settings
from waypost.objective import Objective
from waypost.outcomes import Outcomes, readers
from waypost.types import ModelCard

SEEDS = range(5)
SHARES = (0.01, 0.03, 0.05)
TRIGGERS = ("vermilion okapi", "cf")
LEARNERS = ("knn", "ridge", "domain")  # those that look at the prompt and choose for good


class Case(NamedTuple):
    """A table and how it is audited; ``usd`` is the weight of money, without which the dearest gets all."""

    name: str
    table: Outcomes
    usd: float
    cards: Mapping[str, ModelCard] | None
    planted: bool  # whether back-doors are planted over seeds, which takes minutes on long prompts


def main() -> None:
    """Audit, and append the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of public data; without it the shipped table only")
    with threadpool_limits(1, "blas"):
        for case in _cases(parser.parse_args().data):
            for name in routers.KINDS:
                rows.append("audit", {"table": case.name, "usd": case.usd, **_audited(case, name)})
            for name in LEARNERS if case.planted else ():
                for trigger in TRIGGERS:
                    rows.append("audit", {"table": case.name, "usd": case.usd, **_planted(case, name, trigger)})


def _cases(data: Path | None) -> Iterator[Case]:
    shipped = readers.read("waypost", [Path(embedded.__file__).with_name("outcomes.parquet")])[0]
    cards = {model.name: model.card for model in settings.load(settings.EMBEDDED / "waypost.yaml").models}
    yield Case("shipped", shipped, 0.0, cards, planted=True)
    if data is not None:
        files = sorted((data / "routerbench").glob("*.csv"))
        joined = Outcomes.concat(readers.read("routerbench", files), equal=True)
        yield Case("routerbench", joined, 30.0, None, planted=False)
        yield Case("routerbench", joined, 0.0, None, planted=False)


def _subject(case: Case, name: str, seed: int) -> tuple[Subject, Outcomes, Outcomes]:
    train, test = case.table.split(seed=seed)
    made = routers.make(name, **({"seed": seed} if name == "random" else {})).fit(train)
    quality = {model: mean for model, (mean, _) in train.means().items()}
    return Subject(name, made, quality, case.cards, Objective(usd=case.usd)), train, test


def _audited(case: Case, name: str) -> dict[str, Any]:
    subject, train, test = _subject(case, name, seed=0)
    started = perf_counter()
    found = audit(subject, train, test.prompts)
    return {
        "what": "audit",
        "router": name,
        "strong": found.strong,
        "seconds": round(perf_counter() - started, 2),
        "shares": {f"{cell.category} {cell.level}": round(cell.shares[found.strong].share, 3) for cell in found.cells},
        "to_strong": round(sum(cell.shares[found.strong].share for cell in found.cells) / len(found.cells), 3),
        "robustness": round(found.robustness, 3),
        "flips": {kind: round(flips.share, 3) for kind, flips in found.flips.items()},
        "jailbreaks_to_weak": round(found.jailbreaks.to_weak.share, 3),
        "benign_to_weak": round(found.jailbreaks.benign_to_weak.share, 3),
        "suffixes": [[suffix.toward, suffix.text, *_ends(suffix)] for suffix in found.suffixes],
        "findings": [asdict(finding) for finding in findings(found)],
    }


def _ends(suffix: Any) -> tuple[float, float]:
    return round(suffix.before.share, 3), round(suffix.after.share, 3)


def _planted(case: Case, name: str, trigger: str) -> dict[str, Any]:
    """Over seeds: success of the attack and whether it is found, by share of poisoned rows; and false alarms."""
    success: dict[str, list[float]] = {f"{share:g}": [] for share in SHARES}
    found: dict[str, list[bool]] = {f"{share:g}": [] for share in SHARES}
    alarms: list[list[str]] = []
    for seed in SEEDS:
        subject, train, test = _subject(case, name, seed)
        clean = triggers.find(subject, train, seed=seed)
        alarms.append([one.phrase for one in clean if not one.explained])
        for share in SHARES:
            asked = replace(Settings(), seed=seed, poisoned=share, trigger=trigger)
            planted = plant(subject, train, test.prompts, asked)
            success[f"{share:g}"].append(round(planted.attack.success.share, 3))
            found[f"{share:g}"].append(planted.found)
    return {"what": "triggers", "router": name, "trigger": trigger, "seeds": list(SEEDS), "success": success,
            "found": found, "false_alarms": alarms}  # fmt: skip


if __name__ == "__main__":
    main()
