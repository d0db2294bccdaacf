"""Options that take several values, which the parser behind the commands does not know: ``--train A B C``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

# What may follow as a further value: anything for files; for settings only name=value, so that a table may follow.
LISTS: Mapping[str, Callable[[str], bool]] = {
    "--train": lambda word: True,
    "--test": lambda word: True,
    "--set": lambda word: "=" in word,
}
FILES = frozenset({"--train", "--test"})


def spread(argv: Sequence[str]) -> list[str]:
    """The arguments with each value of a list option behind its own ``--option``, and file patterns expanded.

    A list ends at the next option, or at ``--``; a pattern that matches nothing stays as it is.

    >>> spread(["eval", "--train", "a", "b", "--json"])
    ['eval', '--train', 'a', '--train', 'b', '--json']
    """
    head, tail = _cut(argv, "--")
    return [*_spread(head), *tail]


def _spread(words: Sequence[str]) -> Iterator[str]:
    option = ""
    first = False
    for word in words:
        name, equals, value = word.partition("=")
        if name in LISTS:
            option, first = name, not equals
            if equals:
                yield from _values(option, value)
        elif option and not word.startswith("-") and (first or LISTS[option](word)):
            first = False
            yield from _values(option, word)
        else:
            if first:  # an option without its value, which the parser will refuse by name
                yield option
            option, first = "", False
            yield word
    if first:
        yield option


def _values(option: str, word: str) -> Iterator[str]:
    pattern = option in FILES and any(mark in word for mark in "*?[")
    root = Path(word).anchor
    matches = sorted(map(str, Path(root).glob(word[len(root) :]))) if pattern else []
    for value in matches or [word]:
        yield from (option, value)


def _cut(words: Sequence[str], mark: str) -> tuple[Sequence[str], Sequence[str]]:
    at = list(words).index(mark) if mark in words else len(words)
    return words[:at], words[at:]
