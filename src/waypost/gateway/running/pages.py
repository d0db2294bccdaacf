"""The metrics of several processes as one page: each keeps its own in a file, and whoever is asked adds them up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

# Of the gauges, those that count things; any other is a state, of which the greatest is told.
_ADDED = ("_in_flight", "_length", "_pending", "_bytes", "_fds", "_entries")


class Pages:
    r"""A folder with one page for each process, also for those that have died: what they counted stays counted.

    >>> import tempfile
    >>> one = "# TYPE requests counter\nrequests 2\n# TYPE requests_in_flight gauge\nrequests_in_flight 1\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first, second = Pages(Path(folder), "1"), Pages(Path(folder), "2")
    ...     first.write(one)
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

    def write(self, page: str) -> None:
        """Keep the page of this process; a reader sees the old one or the new one."""
        fresh = self._own.with_suffix(".fresh")
        fresh.write_text(page, encoding="utf-8")
        fresh.replace(self._own)

    def merged(self, page: str) -> str:
        """The pages of all processes, with this one's as it is now.

        It is kept first: what was told once is never taken back, whoever is asked next.
        """
        self.write(page)
        return merge(self._read())

    @staticmethod
    def bury(folder: Path, name: str) -> None:
        """Note that a process has died: it counts on, and no longer has anything under way."""
        live = folder / f"{name}.live"
        if live.exists():
            live.rename(folder / f"{name}.dead")

    def _read(self) -> list[tuple[str, bool]]:
        while True:
            names = sorted(path for path in self._folder.iterdir() if path.suffix in (".live", ".dead"))
            try:
                return [(path.read_text(encoding="utf-8"), path.suffix == ".live") for path in names]
            except FileNotFoundError:
                continue  # a process has died meanwhile, and its page has another name now


def merge(pages: Iterable[tuple[str, bool]]) -> str:
    r"""Pages in Prometheus' text format as one; each comes with whether its process lives.

    Counters and histograms add up, also those of the dead; gauges are of the living.

    >>> print(merge([('# TYPE up gauge\nup 1\n', True), ('# TYPE up gauge\nup 3\n', False)]), end="")
    # TYPE up gauge
    up 1
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, dict[str, float]] = {}
    for page, lives in pages:
        for family, kind, head, sample, value in _lines(page):
            known = heads.setdefault(family, [])
            if head:
                known += [head] if head not in known else []
                continue
            rows = samples.setdefault(family, {})
            if kind != "gauge" or (lives and family.endswith(_ADDED)):
                rows[sample] = rows.get(sample, 0) + value
            elif lives:
                rows[sample] = max(rows.get(sample, value), value)
    return "".join(
        "".join(f"{line}\n" for line in [*head, *(f"{s} {_shown(v)}" for s, v in samples.get(family, {}).items())])
        for family, head in heads.items()
    )


def _lines(page: str) -> Iterator[tuple[str, str, str, str, float]]:
    """Of each line its family and that one's type, and its text or its sample and value."""
    family, kind = "", "untyped"
    for line in page.splitlines():
        if line.startswith("# "):
            _, word, name, rest = [*line.split(" ", 3), ""][:4]
            if name != family:
                family, kind = name, "untyped"
            if word == "TYPE":
                kind = rest
            yield family, kind, line, "", 0.0
        elif line:
            sample, _, value = line.rpartition(" ")
            yield family, kind, "", sample, float(value)


def _shown(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
