"""Where a number comes from: what a router is made of, and the commit of the user's own code."""

from __future__ import annotations

import hashlib
import inspect
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any


def parameters(spec: str, made: Any) -> dict[str, Any]:
    """What a router or strategy is made of, but for its seed.

    Its settings; and of a saved one, and of a user's own class, a hash of the files.

    >>> from waypost.routers import make
    >>> parameters("ridge", make("ridge", alpha=3.0))["alpha"]
    3.0
    """
    settings = {f.name: _plain(getattr(made, f.name)) for f in fields(made) if f.init} if is_dataclass(made) else {}
    settings.pop("seed", None)
    if Path(spec).is_dir():
        settings["files"] = digest(sorted(path for path in Path(spec).iterdir() if path.is_file()))
    elif source := getattr(sys.modules.get(type(made).__module__), "__file__", None) if ":" in spec else None:
        settings["source"] = digest([Path(source)])
    return settings


def draws(spec: str, made: Any) -> bool:
    """Whether a seed makes another router of it: its class takes one, and it was not saved fitted.

    >>> from waypost.routers import make
    >>> draws("random", make("random")), draws("ridge", make("ridge"))
    (True, False)
    """
    return "seed" in inspect.signature(type(made)).parameters and not Path(spec).is_dir()


def digest(files: Iterable[Path]) -> str:
    """One SHA-256 of the bytes of some files, cut to 16 digits."""
    whole = hashlib.sha256()
    for path in files:
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]


def commit(apart: Path | None) -> str | None:
    """The commit of the working folder, with a + where tracked files differ from it; None outside of a repository.

    The file ``apart`` may differ: it is the one that the numbers are written to.
    """
    top, head = _git("rev-parse", "--show-toplevel"), _git("rev-parse", "--short=12", "HEAD")
    if not top or not head:
        return None
    changed = (line[3:] for line in _git("status", "--porcelain", "--untracked-files=no").splitlines())
    own = None if apart is None else apart.resolve()
    return head + ("+" if any(Path(top, name) != own for name in changed) else "")


def _git(*arguments: str) -> str:
    """What git says, or nothing where it is not installed or has nothing to say."""
    try:
        # Fixed words, and whichever git the user has.
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except FileNotFoundError:
        return ""
    return done.stdout.rstrip("\n") if done.returncode == 0 else ""


def _plain(value: Any) -> Any:
    """A setting as JSON; of an object such as an encoder its name."""
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return getattr(value, "name", type(value).__name__)
