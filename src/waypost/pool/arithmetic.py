"""The expert of arithmetic, percentages and units."""

from __future__ import annotations

from waypost.pool.expert import Expert


class Arithmetic(Expert):
    """Answers questions that are wholly arithmetic, with the number and its unit and nothing else.

    It declines everything that it does not understand to the last word, ambiguous percentages, dates, division
    by zero and what would be too large to write out; a request costs well under a millisecond whatever it says.
    """

    def answer(self, text: str) -> str:
        """The exact result, or rounded to 10 significant digits where it does not end."""
        # Its patterns take a tenth of the gateway's start, and only pools with this expert need them.
        from waypost.pool.solving import solve

        return solve(text)
