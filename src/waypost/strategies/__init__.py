"""Strategies decide which calls to make; a driver makes them, live or from recorded answers."""

from waypost.strategies.cascade import Cascade
from waypost.strategies.exploring import Exploring
from waypost.strategies.replay import replay
from waypost.strategies.single import Single

__all__ = ["Cascade", "Exploring", "Single", "replay"]
