"""The numbers of a report, computed once and read by the page, by the figures and by machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from waypost.evaluation.compare import Comparison, Line
from waypost.evaluation.confusion import Confusion
from waypost.evaluation.reliability import Reliability


@dataclass(frozen=True, slots=True)
class Part:
    """A table that was used: its size and what is known in it; ``priced`` is the share of answers of known cost."""

    name: str
    rows: int
    models: tuple[str, ...]
    groups: Mapping[str, int]
    scored: float
    priced: float
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Points:
    """Points of mean cost (USD per question) and mean quality (0..1) in the order of rising cost."""

    usd: tuple[float, ...]
    quality: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Twin:
    """A test question that is also in training, and how alike the two are (0..1)."""

    test: str
    train: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Leaking:
    """How many test questions are in training too, exactly or nearly, with a few of them."""

    exact: int
    near: int
    leaked: int
    examples: tuple[Twin, ...]


@dataclass(frozen=True, slots=True)
class Method:
    """What is known of one router or strategy beyond its line of the comparison.

    ``curve`` is what its predictions earn as money gets dearer and ``aiq`` the mean height of that curve's hull over
    the costs that all curves of the test share; ``groups`` the share of calls by group and model.  ``expected`` and
    ``seen`` are the quality that it expected of the models that it chose, and what they gave.  ``domains`` stands
    for routers that name a domain.
    """

    name: str
    curve: Points | None
    aiq: float
    groups: Mapping[str, Mapping[str, float]]
    choices: Confusion
    domains: Confusion | None
    quality: Reliability | None
    usd: Reliability | None
    expected: float
    seen: float


@dataclass(frozen=True, slots=True)
class Worth:
    """Quality less what money and time weigh, and the paired difference to the best single model by that measure."""

    name: str
    value: float
    gain: float
    gain_ci95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tested:
    """Everything measured on one test table, without the questions that are also in training.

    ``leaks`` and ``with_leaks``, the same comparison on all questions, are None where nothing leaks or nothing was
    trained; ``on_leaks`` is the comparison on the leaked ones, None also where a model has no score on them.

    ``zero`` is the zero router's hull, ``aiq`` its mean height over the costs ``aiq_range``.  Where the trade-off
    weighs money or time, ``worths`` says what each asked line is worth by it, and ``worthiest`` names the best single
    model by it; else there are none.
    """

    part: Part
    found: Comparison
    with_leaks: Comparison | None
    on_leaks: Comparison | None
    leaks: Leaking | None
    zero: Points
    aiq: float
    aiq_range: tuple[float, float] | None
    worthiest: str | None
    worths: tuple[Worth, ...]
    methods: tuple[Method, ...]

    @property
    def asked(self) -> tuple[Line, ...]:
        """The lines of what was asked for."""
        return tuple(line for line in self.found.lines if line.kind == "asked")

    @property
    def priced(self) -> bool:
        """Whether any cost is known."""
        return bool(self.zero.usd)

    def method(self, name: str) -> Method:
        """What else is known of an asked line."""
        return next(method for method in self.methods if method.name == name)


@dataclass(frozen=True, slots=True)
class Findings:
    """A whole report; ``weights`` is the trade-off in force and ``command`` what makes the report again."""

    version: str
    command: str
    seed: int
    resamples: int
    weights: Mapping[str, float]
    budget: float | None
    train: Part | None
    tests: tuple[Tested, ...]
