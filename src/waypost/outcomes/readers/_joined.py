"""Answers of several files as one table: ids that stand for one prompt each, and each answer once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from waypost.outcomes.readers._intake import Intake
from waypost.types import Outcome

_EXAMPLES = 3


def joined(
    parts: Iterable[tuple[Path, Iterator[Outcome]]], intake: Intake, *, distinct: bool = True
) -> Iterator[Outcome]:
    """The rows of all files in their order; an id that stands for a second prompt gets ``#2`` after it, and so on.

    A row without a model, or with text that no file can hold, is left out; so is, where rows are to be ``distinct``,
    a second answer of one model to one question.  ``intake`` counts them.

    >>> row = Outcome("a", "Hi", "chat", "small", 1.0, None, None)
    >>> rows = [row, replace(row, prompt="Bye"), replace(row, quality=0.0)]
    >>> [(kept.id, kept.prompt) for kept in joined([(Path("file"), iter(rows))], Intake())]
    [('a', 'Hi'), ('a#2', 'Bye')]
    """
    ids = _Ids()
    for path, rows in parts:
        for row in rows:
            where = f"{path.name}, id {row.id!r}, model {row.model!r}"
            if distinct and not row.model:
                intake.drop("it is a question without an answer (for prompts: --out prompts.jsonl)", where)
            elif not _encodable(row.prompt) or not _encodable(row.id) or not _encodable(row.model):
                intake.drop("its text holds half of a character", where)
            else:
                name = ids.name(row.id, row.prompt)
                if distinct and ids.repeated(name, row.model):
                    intake.drop("the same model has answered the same question before it", where)
                    continue
                kept = row if name == row.id and _encodable(row.answer) else replace(row, id=name, answer=_mended(row))
                intake.take(path, kept)
                yield kept
    if ids.renamed:
        some = ", ".join(ids.renamed[:_EXAMPLES]) + (", …" if len(ids.renamed) > _EXAMPLES else "")
        intake.note(f"ids that stood for a second prompt and were numbered: {len(ids.renamed)} ({some})")


class _Ids:
    """Which prompt each id stands for, and which models have answered it."""

    def __init__(self) -> None:
        self.renamed: list[str] = []
        self._names: dict[tuple[str, str], str] = {}  # by id and prompt
        self._numbers: dict[str, int] = {}  # the last one given to an id, for every name in use
        self._answered: dict[str, int] = {}  # a bit a model
        self._models: dict[str, int] = {}

    def name(self, id: str, prompt: str) -> str:
        """An id that stands for this prompt alone."""
        name = self._names.get((id, prompt))
        if name is None:
            name = self._names[id, prompt] = self._free(id)
        return name

    def _free(self, id: str) -> str:
        name = id
        while name in self._numbers:
            self._numbers[id] += 1
            name = f"{id}#{self._numbers[id]}"
        self._numbers[name] = 1
        if name != id:
            self.renamed.append(id)
        return name

    def repeated(self, name: str, model: str) -> bool:
        """Whether the model has answered before; from now on it has."""
        bit = 1 << self._models.setdefault(model, len(self._models))
        answered = self._answered.get(name, 0)
        self._answered[name] = answered | bit
        return bool(answered & bit)


def _encodable(text: str) -> bool:
    """Whether text is whole characters, as files hold them; JSON can write halves of one."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mended(row: Outcome) -> str:
    return row.answer.encode(errors="replace").decode()
