"""Choices turned into numbers: what routers and strategies earn on a recorded table, against baselines."""

from waypost.evaluation.baselines import cheapest
from waypost.evaluation.bootstrap import interval, resample
from waypost.evaluation.compare import Comparison, Line, compare
from waypost.evaluation.metrics import Earned, gap_closed
from waypost.evaluation.play import play, solved
from waypost.evaluation.spread import Spread, spread

__all__ = [
    "Comparison",
    "Earned",
    "Line",
    "Spread",
    "cheapest",
    "compare",
    "gap_closed",
    "interval",
    "play",
    "resample",
    "solved",
    "spread",
]
