"""What is measured: the tables, the routers and strategies ready to be measured on them, and the trade-off of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from waypost.cli import named, output
from waypost.errors import BadInput, UnknownModel, WaypostError

if TYPE_CHECKING:
    from waypost.objective import Objective
    from waypost.outcomes import Outcomes
    from waypost.outcomes.leaks import Leaks
    from waypost.types import ModelCard

_SHOWN = 60
_MANY = 20_000  # prompts that are searched in a second or two


@dataclass(frozen=True)
class Data:
    """The training table (None when nothing is to be fitted) and the test tables by name; or the shipped ones.

    ``leaks`` says of each test table which of its rows are also in training; it is empty without a training table.
    ``dropped`` is how many rows were left out of each, because they are also in training or talk on with such a row.
    ``prices`` are there where the tests are to be charged as conversations.
    """

    train: Outcomes | None
    tests: Mapping[str, Outcomes]
    shipped: bool = False
    leaks: Mapping[str, Leaks] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    prices: Mapping[str, ModelCard] | None = None


def read(
    table: Path | None,
    format: str,
    train: list[str],
    test: list[str],
    seed: int,
    leaks: Literal["keep", "drop"] = "keep",
) -> Data:
    """The tables that a command line names; one TABLE is split 70 to 30 with duplicates and sources on one side.

    Test questions that are also in ``train`` are named on stderr, and with ``drop`` left out of the test tables.

    Raises:
        BadInput: the options contradict each other.
    """
    from waypost.outcomes import Outcomes, readers
    from waypost.outcomes.leaks import Leaks

    if train and not test:
        raise BadInput("--train without --test: name test files too, or give one TABLE, which is split")
    if table is not None and test:
        raise BadInput(f"give either the table {table} to be split, or --train and --test")
    if not test:
        name, whole = named.table(table, format)
        part, rest = apart(whole, seed)
        return Data(part, {name: rest}, shipped=table is None, leaks={name: Leaks.none(len(rest))})
    with output.step(f"reading {', '.join(Path(file).name for file in (*train, *test))}"):
        tables = readers.read(format, [*train, *test], output.say)
    names = [Path(file).stem for file in test]
    if len(set(names)) < len(names):
        raise BadInput(f"test files must have different names, got {', '.join(names)}")
    tests = dict(zip(names, tables[len(train) :], strict=True))
    if not train:
        return Data(None, tests)
    joined = Outcomes.concat(tables[: len(train)], equal=True)
    found = {name: _leaked(name, each, joined) for name, each in tests.items()}
    if leaks == "keep":
        return Data(joined, tests, leaks=found)
    clean = {name: _without(name, each, found[name]) for name, each in tests.items()}
    none = {name: Leaks.none(len(each)) for name, each in clean.items()}
    return Data(joined, clean, leaks=none, dropped={name: len(leaked) for name, leaked in found.items()})


def apart(whole: Outcomes, seed: int) -> tuple[Outcomes, Outcomes]:
    """The parts of a table, each question on one side with all its duplicates and all that share its source."""
    from waypost.outcomes.leaks import clusters

    with _searching(f"looking for duplicates among {len(whole):,} prompts", len(whole)):
        clusters_N = clusters(whole.prompts, whole.sources)
    return whole.split(seed=seed, clusters_N=clusters_N)


def _leaked(name: str, test: Outcomes, train: Outcomes) -> Leaks:
    """The test questions that are also in training, said so that nobody overlooks them."""
    from waypost.outcomes.leaks import find

    what = f"looking for the {len(test):,} questions of {name} among {len(train):,} of training"
    with _searching(what, len(test) + len(train)):
        found = find(test.prompts, train.prompts)
    if found:
        # A near duplicate shows more than a question that is simply there twice.
        row, other, similarity = min(found.pairs, key=lambda pair: pair[2])
        exact, near = int(found.exact_N.sum()), int(found.near_N.sum())
        output.say(
            f"LEAK: {len(found)} of the {len(test)} questions of {name} ({len(found) / len(test):.0%}) are also in "
            f"training, {exact} exactly and {near} nearly, which flatters whoever trained on them. Such as\n"
            f"  test:     {_shortened(test.prompts[row])}\n"
            f"  training: {_shortened(train.prompts[other])} (similarity {similarity:.2f})"
        )
    return found


def _searching(what: str, prompts: int) -> AbstractContextManager[None]:
    """A step that is worth a line only where it takes its time."""
    return output.step(what) if prompts > _MANY else nullcontext()


def _without(name: str, test: Outcomes, found: Leaks) -> Outcomes:
    if found.leaked_N.all():
        raise BadInput(f"every question of {name} is also in training, so nothing is left to measure on")
    return test.select(~found.leaked_N)


def _shortened(prompt: str) -> str:
    text = " ".join(prompt.split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def cards(data: Data, config: Path | None, objective: Objective) -> dict[str, ModelCard]:
    """What is known of each model of the tables, so far as that is their names.

    Raises:
        UnknownModel: the objective allows a model that no table has.
        BadInput: a flag weighs facts of models of which nothing is known.
    """
    from waypost.gateway import settings
    from waypost.types import ModelCard

    names = dict.fromkeys(name for table in data.tests.values() for name in table.models)
    for name in objective.allowed or ():
        if name not in names:
            raise UnknownModel(name, names)
    file = config or (settings.EMBEDDED / "waypost.yaml" if data.shipped else None)
    known = {model.name: model.card for model in settings.load(file).models} if file else {}
    unknown = [name for name in names if name not in known]
    if objective.flags and unknown:
        flags = ", ".join(objective.flags)
        raise BadInput(
            f"--objective {flags}: a flag weighs facts of the models, and of '{unknown[0]}' none are known; "
            f"name a config that has it with --config"
        )
    return {name: known.get(name, ModelCard(name)) for name in names}


def solved(
    spec: str, made: Any, objective: Objective, train: Outcomes | None, cards: Mapping[str, ModelCard]
) -> Objective:
    """The objective with its budget solved: on the training prompts, or on the sample that was saved with a router."""
    from waypost import evaluation, routers

    if objective.budget is None:
        return objective
    if not _saved(spec):
        return evaluation.solved(made, named.few(train.prompts if train else ()), objective, cards)
    sample = routers.load_sample(spec, made.models)
    if sample is None:
        raise BadInput(f"a budget is solved on a sample, and {spec} was saved without; train it again")
    return objective.solved(sample, cards)


def asked(data: Data, routers: list[str], strategies: list[str], seed: int) -> dict[str, Any]:
    """What was asked for by name, ready to be measured; each is fitted once, when all names are known to be good."""
    found = made(data, routers, strategies, seed)
    fit = {spec: tried(spec, one, data.train, [*routers, *strategies]) for spec, one in found.items()}
    return {spec: one for spec, one in fit.items() if one is not None}


def tried(spec: str, router: Any, train: Outcomes | None, wanted: Collection[str]) -> Any | None:
    """As `fitted`, but None, and said, where the table does not suffice for a router that nobody asked for by name."""
    try:
        return fitted(spec, router, train)
    except WaypostError as error:
        if train is None or spec in wanted:
            raise
        output.say(f"{spec} is left out: {error}")
        return None


def made(data: Data, routers: list[str], strategies: list[str], seed: int) -> dict[str, Any]:
    """What was asked for by name, still to be fitted unless it was saved.

    Raises:
        BadInput: a name that is not known, or not of its kind.
    """
    from waypost.evaluation import cheapest
    from waypost.routers import ROUTERS, USUAL

    if "all" in routers:
        routers = [*dict.fromkeys(name for spec in routers for name in (ROUTERS if spec == "all" else [spec]))]
    if not routers and not strategies and all(table.keeps_answers for table in data.tests.values()):
        strategies = ["cascade"]
    found = {spec: _router(spec, seed) for spec in routers or USUAL}
    found |= {spec: _strategy(spec, seed) for spec in strategies}
    if "cheapest" in found and all(cheapest(table) is None for table in data.tests.values()):
        output.say("the tables have no costs, so 'cheapest' is only the first model by name")
    return found


def fitted(spec: str, router: Any, train: Outcomes | None) -> Any:
    """A router or a cascade's head, fitted on the training table unless it was saved fitted.

    Raises:
        BadInput: there is no training table.
    """
    if _saved(spec):
        return router
    if train is None:
        raise BadInput(f"'{spec}' has to be fitted: give --train files, or a folder saved by waypost train")
    with output.step(f"fitting {spec} on {len(train):,} prompts × {len(train.models)} models"):
        found = router.fit(train)
    return router if found is None else found  # a user's own fit may well return nothing


def unseen(table: Path | None, format: str, spec: str, seed: int) -> tuple[Any, Data]:
    """A fitted router, and the questions of a table that it has not seen: the part held out in training, or all.

    Raises:
        BadInput: a saved router was trained on all of them, or the name is not one of a router.
    """
    if not _saved(spec):
        data = read(table, format, [], [], seed)
        return asked(data, [spec], [], seed)[spec], data
    router = _router(spec, seed)
    name, whole = named.table(table, format)
    if router.trained_on == whole.fingerprint:
        raise BadInput(
            f"{spec} was trained on every row of {name}, so nothing there tells what it does on others; "
            f"train it without --all, or give another table"
        )
    for part, rest in (apart(whole, seed), whole.split(seed=seed)):
        if router.trained_on == part.fingerprint:
            clean = _without(name, rest, _leaked(name, rest, part))
            return router, Data(part, {name: clean}, shipped=table is None)
    output.say(f"{spec} was not trained on {name} split by seed {seed}, so all of its {len(whole)} questions are used")
    return router, Data(None, {name: whole}, shipped=table is None)


def _saved(spec: str) -> bool:
    from waypost.routers import KINDS

    return spec not in KINDS and Path(spec).is_dir()


def _router(spec: str, seed: int) -> Any:
    from waypost import routers

    if _saved(spec):
        saved = routers.load(spec)
        if isinstance(saved, routers.Head):
            raise BadInput(f"{spec} holds the head of a cascade; give it with --strategy {spec}")
        return saved
    if ":" in spec:
        return named.own_class(spec, seed)
    if spec in routers.HEADS:
        raise BadInput(f"'{spec}' looks at answers, so it is a strategy: --strategy {spec}")
    return named.new_router(spec, {}, seed)


def _strategy(spec: str, seed: int) -> Any:
    from waypost import routers

    if _saved(spec):
        return routers.load(spec)
    if spec in routers.HEADS:
        return named.new_router(spec, {}, seed)
    known = " and ".join(routers.HEADS)
    raise BadInput(f"no strategy '{spec}'; there are {known}, or a folder saved by train --router cascade")
