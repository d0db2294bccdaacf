"""What every group's file is made of: a draft of a prompt, and vocabularies kept as plain text."""

from __future__ import annotations

from random import Random
from typing import NamedTuple


class Draft(NamedTuple):
    """A prompt and how to mark an answer to it; it has no id yet."""

    prompt: str
    scorer: str
    reference: str


def any_of(*answers: str) -> str:
    """A reference with several acceptable answers."""
    return " || ".join(dict.fromkeys(answers))


def words(text: str) -> tuple[str, ...]:
    """The words of a block of text."""
    return tuple(text.split())


def lines(text: str) -> tuple[str, ...]:
    """The lines of a block of text that hold anything."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def table(text: str) -> tuple[tuple[str, ...], ...]:
    """The lines of a block of text as cells, parted by `` | ``.

    >>> table("France | Paris")
    (('France', 'Paris'),)
    """
    return tuple(tuple(cell.strip() for cell in line.split(" | ")) for line in lines(text))


def show(value: float) -> str:
    """A number as a person writes it: no trailing zeros.

    >>> show(12.50), show(3.0), show(0.1 + 0.2)
    ('12.5', '3', '0.3')
    """
    return f"{value:.6f}".rstrip("0").rstrip(".")


def lower_first(text: str) -> str:
    """Text that can follow a colon or a lead-in."""
    return text[:1].lower() + text[1:]


def tail(rng: Random, endings: tuple[str, ...], share: float = 0.3) -> str:
    """One of the endings with a leading space, or nothing."""
    return " " + rng.choice(endings) if rng.random() < share else ""
