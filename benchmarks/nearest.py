"""A router that only remembers, for the demonstration of leaks: ``--router nearest:Nearest`` in this folder."""

from __future__ import annotations

from waypost.routers import KNN


class Nearest(KNN):
    """The nearest training question alone."""

    def __init__(self) -> None:
        super().__init__(k=1)
