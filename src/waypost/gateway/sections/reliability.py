"""``reliability:`` how often a remote model is tried, and when it is left alone."""

from __future__ import annotations

from dataclasses import dataclass

from waypost.gateway.sections.kinds import FLAG, number, section, setting, whole_number


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a circuit breaker opens: ``failures`` within its window that are at least a ``share`` of the calls in it.

    It then rests for ``rest_seconds``, after each further failure twice as long, up to ``longest_rest_seconds``.
    """

    failures: int = setting(whole_number(least=1), "Failures in the window that open a breaker.", 5)
    window_seconds: float = setting(number(least=1.0), "How far back failures count, in seconds.", 30.0)
    share: float = setting(number(0.0, 1.0), "Least share of failures among the calls in the window.", 0.5)
    rest_seconds: float = setting(number(least=0.0), "First rest of an open breaker, in seconds.", 15.0)
    longest_rest_seconds: float = setting(number(least=0.0), "Longest rest; it doubles up to this.", 300.0)


@dataclass(frozen=True, slots=True)
class ReliabilitySettings:
    """How often and how long to try a model before another is asked; times are in seconds.

    Before each of ``retries`` there is a random wait of at most ``first_wait_seconds``, doubled each time, and none
    begins later than ``budget_seconds`` after the first try.  A wait that a provider asks for (``Retry-After``) is
    kept up to ``patience_seconds``, or up to the end of the budget where no other model is left.  A model that sent
    nothing in its time has cost that time already, and is tried again only with ``retry_timeouts``.
    """

    retries: int = setting(whole_number(0, 10), "Tries of a model after the first, before another is asked.", 2)
    first_wait_seconds: float = setting(number(least=0.0), "Longest wait before the first retry; it doubles.", 0.1)
    budget_seconds: float = setting(number(least=0.0), "No retry begins later than this after the first try.", 10.0)
    patience_seconds: float = setting(number(least=0.0), "Longest Retry-After kept while others could answer.", 1.0)
    retry_timeouts: bool = setting(FLAG, "Try a model again that sent nothing in its time.", False)
    breaker: BreakerSettings = setting(section(BreakerSettings), "When a model is left alone.", BreakerSettings())
