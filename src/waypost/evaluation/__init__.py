"""Choices turned into numbers: what routers and strategies earn on a recorded table, against baselines."""

from waypost.evaluation.baselines import cheapest
from waypost.evaluation.bootstrap import interval
from waypost.evaluation.compare import Comparison, Line, compare, seen_in_training
from waypost.evaluation.metrics import Earned, gap_closed
from waypost.evaluation.play import play, solved

__all__ = [
    "Comparison",
    "Earned",
    "Line",
    "cheapest",
    "compare",
    "gap_closed",
    "interval",
    "play",
    "seen_in_training",
    "solved",
]
