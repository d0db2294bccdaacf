"""Texts of several domains that ship with the machine's own packages, read where they are and never copied.

Files are dealt out by a hash of their path: most go to the experts' training, the others give the snippets that
experts are asked about and routers learn from.  So no file is on both sides.
"""

from __future__ import annotations

import gzip
import hashlib
import sysconfig
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SHARE = 0.6  # of the files: what experts are trained on
CHARACTERS = 400  # of a snippet
APART = 100  # a snippet's middle, of so many characters, stands nowhere in what its domain's expert was trained on
PER_FILE = 4  # snippets of one file at most
LEAST_FILES = 30
_MOST_BYTES = 200_000  # of one file

# Folder and pattern by domain, and the package that brings them.
SOURCES: Mapping[str, tuple[str, str, str]] = {
    "python": (sysconfig.get_path("stdlib"), "**/*.py", "Python's standard library"),
    "c": ("/usr/include", "**/*.h", "libc6-dev, linux-libc-dev"),
    "perl": ("/usr/share/perl", "**/*.p[lm]", "perl-modules"),
    "manual": ("/usr/share/man", "man[578]/*.gz", "manpages"),
    "german": ("/usr/share/man/de", "man*/*.gz", "manpages-de"),
    "changelog": ("/usr/share/doc", "*/changelog*.gz", "any package's changelog"),
    "licence": ("/usr/share/doc", "*/copyright", "any package's licence"),
    "fortunes": ("/usr/share/games/fortunes", "*", "fortunes"),
}
_LEFT_OUT = frozenset({"test", "tests", "site-packages", "idlelib", "lib2to3"})  # of Python's library


@dataclass(frozen=True)
class Snippet:
    """A piece of a file that no expert was trained on."""

    text: str
    domain: str
    file: str


@dataclass(frozen=True)
class Texts:
    """What experts are trained on, by domain; snippets of other files; and the domains that this machine lacks."""

    training: Mapping[str, bytes]
    snippets: tuple[Snippet, ...]
    missing: Mapping[str, str]


def texts(per_domain: int, most_bytes: int) -> Texts:
    """Read every domain that is there: so many snippets, and so much to train on, of each."""
    training, snippets, missing = {}, [], {}
    for domain, (folder, pattern, package) in SOURCES.items():
        files = dict(_files(Path(folder), pattern))
        if len(files) < LEAST_FILES:
            missing[domain] = package
            continue
        learnt = [name for name in files if _unit_hash(f"side {name}") < SHARE]
        training[domain] = "\n\n".join(files[name] for name in learnt).encode()[:most_bytes]
        held = {name: text for name, text in files.items() if name not in set(learnt)}
        snippets += list(_snippets(domain, held, training[domain].decode(errors="ignore"), per_domain))
    return Texts(training, tuple(snippets), missing)


def _files(folder: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """The files that are text, each content once, in an order that is no order of names."""
    seen = set()
    found = {str(path.relative_to(folder)): path for path in folder.glob(pattern) if path.is_file()}
    for name in sorted(found, key=lambda name: _unit_hash(f"order {name}")):
        if _LEFT_OUT.isdisjoint(Path(name).parts) and (text := _text(found[name])) is not None and text not in seen:
            seen.add(text)
            yield name, text


def _text(path: Path) -> str | None:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error):
        return None  # not text, or not in UTF-8
    return text if len(text) >= 2 * CHARACTERS else None


def _snippets(domain: str, held: Mapping[str, str], learnt: str, most: int) -> Iterator[Snippet]:
    """Pieces of the held files, one of each, then a second of each, until there are enough."""
    given, seen = 0, set()
    for turn in range(PER_FILE):
        for name, text in held.items():
            start = int(_unit_hash(f"start {turn} {name}") * (len(text) - CHARACTERS))
            piece = text[start : start + CHARACTERS]
            middle = piece[(CHARACTERS - APART) // 2 :][:APART]
            if not piece.strip() or middle in seen or middle in learnt:
                continue
            if given == most:
                return
            given += 1
            seen.add(middle)
            yield Snippet(piece, domain, f"{domain}/{name}")


def _unit_hash(text: str) -> float:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest(), "big") / 2**64
