"""What happened: the table prompt × model → quality, cost, seconds, answers; its readers and its collector."""

from waypost.outcomes.example import example_table
from waypost.outcomes.table import Outcomes

__all__ = ["Outcomes", "example_table"]
