"""Which models are in memory while requests come in, and what loading them costs.

Where not all experts fit at once, a request for one that is out has to wait until it is loaded, and something else has
to leave.  `replay` plays a trace of requests through a rule that picks what leaves:

- ``lru``: the model that was asked for longest ago.
- ``cost_aware``: the one whose reload is cheapest for the room that it takes, long-unused ones first (GreedyDual-Size,
  Cao & Irani 1997: each request sets a model's credit to ``floor + seconds / size``, the least credit leaves, and the
  floor rises to it).
- ``belady``: the one that is needed again last, known only afterwards: where all sizes are equal nothing has fewer
  misses (Belady 1966), so it is what the others are measured against.  With other sizes it is only a good guess.

All functions are pure: they load nothing, they count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from waypost.errors import BadInput, nearest


@dataclass(frozen=True, slots=True)
class Memory:
    """What each model takes (``sizes``, GB), how many seconds it takes to load, and how much room there is.

    >>> Memory.of({"maths": 14.0, "code": 28.0}, room=30.0, gb_per_second=7.0).seconds
    {'maths': 2.0, 'code': 4.0}
    """

    sizes: Mapping[str, float]
    seconds: Mapping[str, float]
    room: float

    @classmethod
    def of(cls, sizes: Mapping[str, float], *, room: float, gb_per_second: float) -> Memory:
        """Of models that all load at one speed."""
        return cls(sizes, {name: size / gb_per_second for name, size in sizes.items()}, room)

    def check(self, models: Collection[str]) -> None:
        """Refuse what can never be in memory.

        Raises:
            BadInput: a model without a size or seconds, or one that is larger than all the room.
        """
        for name in models:
            if name not in self.sizes or name not in self.seconds:
                raise BadInput(f"no size or no seconds of '{name}'.{nearest(name, self.sizes)}")
            if self.sizes[name] > self.room:
                raise BadInput(f"'{name}' takes {self.sizes[name]:g} GB, and there are {self.room:g}; it never fits")


class Replay(NamedTuple):
    """What a rule did with a trace: requests that found their model loaded, those that did not, and what is loaded."""

    hits: int
    misses: int
    seconds: float  # spent on loading
    resident: tuple[str, ...]  # at the end

    @property
    def hit_rate(self) -> float:
        """The share of requests that waited for nothing; 0 of an empty trace."""
        return self.hits / max(self.hits + self.misses, 1)


# What keeps a model in memory, set whenever it is asked for: (place in the trace, model, floor) -> credit.  Of those in
# memory the least leaves, and the floor is the credit of the last one that left.
Credit = Callable[[int, str, float], float]


def _lru(trace: Sequence[str], memory: Memory) -> Credit:
    return lambda place, model, floor: float(place)


def _cost_aware(trace: Sequence[str], memory: Memory) -> Credit:
    return lambda place, model, floor: floor + memory.seconds[model] / memory.sizes[model]


def _belady(trace: Sequence[str], memory: Memory) -> Credit:
    places: dict[str, list[int]] = defaultdict(list)
    for place, model in enumerate(trace):
        places[model].append(place)

    def minus_next(place: int, model: str, floor: float) -> float:
        later = bisect_right(places[model], place)
        return -float(places[model][later] if later < len(places[model]) else len(trace) + 1)

    return minus_next


RULES: Mapping[str, Callable[[Sequence[str], Memory], Credit]] = {
    "lru": _lru,
    "cost_aware": _cost_aware,
    "belady": _belady,
}


def replay(trace: Sequence[str], memory: Memory, rule: str = "lru", start: Sequence[str] = ()) -> Replay:
    """Play the names of the models that are asked for, one after the other, through a rule.

    ``start`` is what is loaded already, such as the models that `Composition` keeps; it costs nothing, and the last of
    it counts as the most recent.  Of equals the first by name leaves.

    Raises:
        BadInput: an unknown rule, or a model that can never be in memory, or more to start with than fits.

    >>> memory = Memory.of({"maths": 10.0, "code": 10.0, "chat": 10.0}, room=20.0, gb_per_second=5.0)
    >>> trace = ["maths", "code", "chat", "maths", "code", "maths"]
    >>> replay(trace, memory, "lru"), replay(trace, memory, "belady").misses
    (Replay(hits=1, misses=5, seconds=10.0, resident=('code', 'maths')), 4)
    """
    if rule not in RULES:
        raise BadInput(f"no rule '{rule}'; there are {', '.join(RULES)}.{nearest(rule, RULES)}")
    memory.check({*trace, *start})
    credit_of = RULES[rule](trace, memory)
    credit = {model: credit_of(place - len(start), model, 0.0) for place, model in enumerate(start)}
    used = sum(memory.sizes[model] for model in credit)
    if used > memory.room:
        raise BadInput(f"what is to be loaded at the start takes {used:g} GB, and there are {memory.room:g}")
    misses, seconds, floor = 0, 0.0, 0.0
    for place, model in enumerate(trace):
        if model not in credit:
            misses, seconds = misses + 1, seconds + memory.seconds[model]
            while sum(memory.sizes[kept] for kept in credit) + memory.sizes[model] > memory.room:
                leaves = min(credit, key=lambda kept: (credit[kept], kept))
                floor = credit.pop(leaves)
        credit[model] = credit_of(place, model, floor)
    return Replay(len(trace) - misses, misses, seconds, tuple(sorted(credit)))


def switching(before: Collection[str], after: Collection[str], memory: Memory) -> float:
    """Seconds that it takes to go from one set of resident models to another: what is new is loaded.

    >>> switching(["maths"], ["code", "maths"], Memory({"maths": 1, "code": 1}, {"maths": 3.0, "code": 2.0}, 2))
    2.0
    """
    memory.check({*before, *after})
    return sum(memory.seconds[model] for model in sorted({*after} - {*before}))
