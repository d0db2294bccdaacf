"""Strategies decide which calls to make; a driver makes them, live or from recorded answers."""

from waypost.strategies.replay import replay
from waypost.strategies.single import Single

__all__ = ["Single", "replay"]
