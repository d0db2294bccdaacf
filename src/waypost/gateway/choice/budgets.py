"""Budgets become weights: a profile's once at the start, a request's when it first comes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from waypost.errors import BadConfig, BadInput, BadRequest, NoModelLeft, UnknownModel, WaypostError
from waypost.objective import Objective

# Clients send few different budgets; a hostile one must not fill the memory with them.
_KEPT = 256


@dataclass(slots=True)
class Budgets:
    """Solves objectives by ``solve`` and remembers the latest 256 of them, also those that cannot be solved.

    >>> from dataclasses import replace
    >>> budgets = Budgets(lambda objective: replace(objective, budget=None, usd=7.0))
    >>> budgets.solved(Objective(budget=0.01)).usd, budgets.solved(Objective(usd=3.0)).usd
    (7.0, 3.0)
    """

    solve: Callable[[Objective], Objective]
    _profiles: dict[Hashable, Objective] = field(default_factory=dict)
    _latest: OrderedDict[Hashable, Objective | WaypostError] = field(default_factory=OrderedDict)

    def keep(self, profiles: Mapping[str, Objective], places: Mapping[str, str]) -> None:
        """Solve the profiles, for as long as the process lives; ``places`` says where the config has them.

        Raises:
            BadConfig: a budget cannot be kept.
        """
        for name, objective in profiles.items():
            if objective.budget is None:
                continue
            try:
                self._profiles[_key(objective)] = self.solve(objective)
            except (BadInput, NoModelLeft) as error:
                raise BadConfig(f"{places[f'profiles.{name}']}: profile '{name}': {error}") from error

    def solved(self, objective: Objective) -> Objective:
        """The objective with its budget turned into a weight; one without stays as it is.

        Raises:
            BadRequest: the budget cannot be kept.
            NoModelLeft: the constraints removed every model.
            UnknownModel: ``allowed`` names a model outside the pool.
        """
        if objective.budget is None:
            return objective
        key = _key(objective)
        known = self._profiles.get(key) or self._latest.get(key)
        if known is None:
            known = self._latest[key] = self._tried(objective)
            if len(self._latest) > _KEPT:
                self._latest.popitem(last=False)
        if isinstance(known, WaypostError):
            raise known.with_traceback(None)
        return known

    def _tried(self, objective: Objective) -> Objective | WaypostError:
        try:
            return self.solve(objective)
        except (UnknownModel, NoModelLeft) as error:
            return error
        except BadInput as error:
            return BadRequest("waypost.budget", f"cannot be kept: {error}")


def _key(objective: Objective) -> Hashable:
    """Equal for equal objectives; their own hash is none, because flags and bias are dictionaries."""
    values = {
        **vars(objective),
        **{name: frozenset(getattr(objective, name).items()) for name in ("flags", "bias", "barred")},
    }
    values["allowed"] = None if objective.allowed is None else frozenset(objective.allowed)
    return tuple(values.values())
