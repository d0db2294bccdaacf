"""Pairs of a query and its document, in several domains, read from texts that came with this machine's own packages.

Nothing of them is kept.  Domains whose texts are not installed are left out; those of Python are always there.
"""

from __future__ import annotations

import ast
import gzip
import importlib.util
import re
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

MOST = 600  # characters of a document
LEAST = 80
_SHARE = Path("/usr/share")


class Pair(NamedTuple):
    """A query, and the one document that answers it."""

    query: str
    document: str


def domains(most: int) -> dict[str, list[Pair]]:
    """Up to ``most`` pairs of each domain that has enough: half of that many, or 400."""
    found = {name: chosen(make(), most) for name, make in SOURCES.items()}
    return {name: pairs for name, pairs in found.items() if len(pairs) >= min(most // 2, 400)}


def chosen(pairs: Iterable[Pair], most: int) -> list[Pair]:
    """Pairs of which no query and no document is there twice, by the order of their hashes."""
    queries: set[str] = set()
    documents: set[str] = set()
    kept = []
    for pair in pairs:
        query, document = (" ".join(text.split()) for text in pair)
        document = document[:MOST]
        fine = 15 <= len(query) <= 200 and len(document) >= LEAST
        if fine and query.lower() not in queries and document[:60] not in documents:
            queries.add(query.lower())
            documents.add(document[:60])
            kept.append(Pair(query, document))
    return sorted(kept, key=lambda pair: blake2b(pair.query.encode(errors="replace")).digest())[:most]


def docstrings(folders: Sequence[Path]) -> Iterator[Pair]:
    """The first sentence of a docstring, and the rest of it."""
    paths = sorted(
        path
        for folder in folders
        for path in folder.rglob("*.py")
        if not {"test", "tests", "site-packages", "lib2to3"} & set(path.relative_to(folder).parts)
    )
    for path in paths[:: max(1, len(paths) // 500)]:
        try:
            tree = ast.parse(path.read_text())
        except (SyntaxError, UnicodeDecodeError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield from halves(ast.get_docstring(node) or "")


def halves(text: str) -> Iterator[Pair]:
    """The first sentence or paragraph, and what follows."""
    match = re.match(r"(.+?(?:[.!?](?=\s)|\n\s*\n))(.+)", text.strip(), re.DOTALL)
    if match:
        yield Pair(match[1], match[2])


def package(*names: str) -> list[Path]:
    """The folders of installed packages, which are not imported."""
    specs = [importlib.util.find_spec(name) for name in names]
    return [Path(spec.origin).parent for spec in specs if spec and spec.origin]


def manual(section: int) -> Iterator[Pair]:
    """What a manual page says that its subject is, and the beginning of its description."""
    paths = sorted((_SHARE / "man" / f"man{section}").glob("*.gz"))
    for path in paths[:: max(1, len(paths) // 3000)]:
        try:
            text = gzip.decompress(path.read_bytes()).decode(errors="replace")
        except (OSError, EOFError):
            continue
        name = re.search(r'^\.S[Hh] "?NAME"?\s*\n(.*?)(?=^\.S[Hh])', text, re.DOTALL | re.MULTILINE | re.IGNORECASE)
        body = re.search(r'^\.S[Hh] "?DESCRIPTION"?\s*\n(.*?)(?=^\.S[Hh]|\Z)', text, re.DOTALL | re.MULTILINE)
        if name and body and (said := re.search(r"\\?-\\?-?\s+(.*)|^\.Nd (.*)", plain(name[1]), re.DOTALL)):
            yield Pair(said[1] or said[2] or "", plain(body[1]))


def plain(roff: str) -> str:
    """Roff without its macros and escapes."""
    lines = [re.sub(r"^\.(?:B|I|BR|RB|IR|BI|RI|IB|SM|SB|Nm|Fl|Ar|Xr|Pa)\s+", "", line) for line in roff.splitlines()]
    text = "\n".join(line for line in lines if line.startswith(".Nd") or not line.startswith((".", "'")))
    return re.sub(r"\\f(?:\[\w*\]|\(\w\w|\w)|\\[&|^/,]|\\s[-+]?\d", "", text).replace("\\-", "-").replace("\\(aq", "'")


def packages() -> Iterator[Pair]:
    """Of each installed package what it is in a line, and its description."""
    status = Path("/var/lib/dpkg/status")
    for entry in status.read_text(errors="replace").split("\n\n") if status.is_file() else ():
        match = re.search(r"^Description: (.*)\n((?: .*\n?)+)", entry, re.MULTILINE)
        if match:
            yield Pair(match[1], match[2].replace("\n .\n", "\n"))


def info() -> Iterator[Pair]:
    """The title of a manual's node, and its text."""
    for path in sorted((_SHARE / "info").glob("*.gz")):
        for node in gzip.decompress(path.read_bytes()).decode(errors="replace").split("\x1f"):
            head, _, body = node.strip().partition("\n")
            title = re.search(r"Node: ([^,]+)", head)
            lines = body.strip().splitlines()
            if title and len(lines) > 3 and "* Menu:" not in body:
                yield Pair(re.sub(r"^[\d.A-Z]+ ", "", lines[0]), "\n".join(lines[2:]))


def fortunes() -> Iterator[Pair]:
    """The first sentence of an epigram, and the rest of it."""
    for path in sorted((_SHARE / "games" / "fortunes").glob("*")):
        if path.suffix == "" and path.is_file():
            for epigram in path.read_text(errors="replace").split("\n%\n"):
                yield from halves(epigram)


SOURCES: Mapping[str, Callable[[], Iterable[Pair]]] = {
    "python": lambda: docstrings([Path(sysconfig.get_paths()["stdlib"])]),
    "science": lambda: docstrings(package("numpy", "scipy", "sklearn")),
    "databases": lambda: docstrings(package("sqlalchemy", "duckdb")),
    "commands": lambda: manual(1),
    "libraries": lambda: manual(3),
    "administration": lambda: (pair for section in (5, 8) for pair in manual(section)),
    "packages": packages,
    "manuals": info,
    "epigrams": fortunes,
}
