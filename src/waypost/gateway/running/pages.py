"""The metrics of several processes as one page: each keeps its own in a file, and whoever is asked adds them up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

_log = logging.getLogger(__name__)

_TOGETHER: Mapping[str, Callable[[float, float], float]] = {
    "sum": lambda one, other: one + other,
    "least": min,
    "most": max,
}


class Pages:
    r"""A folder with one page for each process, also for those that have died: what they counted stays counted.

    >>> import tempfile
    >>> one = "# TYPE requests counter\nrequests 2\n# TYPE requests_in_flight gauge\nrequests_in_flight 1\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first, second = Pages(Path(folder), "1"), Pages(Path(folder), "2")
    ...     first.write(one)
    ...     second.write(one)
    ...     Pages.bury(Path(folder), "1")
    ...     print(second.merged(one))
    # TYPE requests counter
    requests 4
    # TYPE requests_in_flight gauge
    requests_in_flight 1
    <BLANKLINE>
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._own = folder / f"{name}.live"
        self._refused = False

    def write(self, page: str) -> None:
        """Keep the page of this process, always from the same thread; a reader sees the old one or the new one.

        A disk that refuses is said once, and others are told the old page until it takes another.
        """
        fresh = self._own.with_suffix(".fresh")
        try:
            fresh.write_text(page, encoding="utf-8")
            fresh.replace(self._own)
        except OSError as error:
            if not self._refused:
                _log.error("the metrics of this process cannot be kept, and get old for the others: %s", error)
            self._refused = True
        else:
            self._refused = False

    def merged(self, page: str) -> str:
        """The pages of all processes, with this one's as it is now; from any thread.

        Write it first: then what was told once is never taken back, whoever is asked next.
        """
        return merge([(page, True), *self._others()])

    @staticmethod
    def bury(folder: Path, name: str) -> None:
        """Note that a process has died: it counts on, and no longer has anything under way."""
        live = folder / f"{name}.live"
        if live.exists():
            live.rename(folder / f"{name}.dead")

    def _others(self) -> list[tuple[str, bool]]:
        while True:
            names = sorted(path for path in self._folder.iterdir() if path.suffix in (".live", ".dead"))
            names = [path for path in names if path != self._own]
            try:
                return [(path.read_text(encoding="utf-8"), path.suffix == ".live") for path in names]
            except FileNotFoundError:
                continue  # a process has died meanwhile, and its page has another name now


def merge(pages: Iterable[tuple[str, bool]]) -> str:
    r"""Pages in Prometheus' text format as one; each comes with whether its process lives.

    Counters and histograms add up, also those of the dead; gauges are of the living, and each says itself what several
    are together.

    >>> page = "# TYPE up gauge\n# TOGETHER up least\nup {}\n"
    >>> print(merge([(page.format(2), True), (page.format(1), True), (page.format(0), False)]), end="")
    # TYPE up gauge
    up 1
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, dict[str, float]] = {}
    for page, lives in pages:
        for family, together, head, sample, value in _lines(page):
            known = heads.setdefault(family, [])
            if head:
                known += [head] if head not in known else []
                continue
            rows = samples.setdefault(family, {})
            if lives or not together:
                rows[sample] = _TOGETHER[together or "sum"](rows[sample], value) if sample in rows else value
    return "".join(
        "".join(f"{line}\n" for line in [*head, *(f"{s} {_shown(v)}" for s, v in samples.get(family, {}).items())])
        for family, head in heads.items()
    )


def _lines(page: str) -> Iterator[tuple[str, str, str, str, float]]:
    """Of each line its family, what several of its gauges are together, and its text or its sample and value."""
    family, together = "", ""
    for line in page.splitlines():
        if line.startswith("# "):
            _, word, name, rest = [*line.split(" ", 3), ""][:4]
            if name != family:
                family, together = name, ""
            if word == "TOGETHER":
                together = rest
                continue
            if word == "TYPE" and rest == "gauge":
                together = "most"
            yield family, together, line, "", 0.0
        elif line:
            sample, _, value = line.rpartition(" ")
            yield family, together, "", sample, float(value)


def _shown(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
