"""Where a number comes from: what a router is made of, the commit of the user's own code, and Waypost's version."""

from __future__ import annotations

import hashlib
import inspect
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import waypost

_PACKAGES = {"site-packages", "dist-packages"}
_NOT_OWN = {"waypost", "__main__", "__mp_main__"}


def parameters(spec: str, made: Any) -> dict[str, Any]:
    """What a router or strategy is made of, but for its seed.

    Its settings; of a saved one a hash of its files; and of a user's own class one of every module that is loaded and
    not installed, as any of them may be a part of it.

    >>> from waypost.routers import make
    >>> parameters("ridge", make("ridge", alpha=3.0))["alpha"]
    3.0
    """
    settings = {f.name: _plain(getattr(made, f.name)) for f in fields(made) if f.init} if is_dataclass(made) else {}
    settings.pop("seed", None)
    if Path(spec).is_dir():
        settings["files"] = digest(sorted(path for path in Path(spec).iterdir() if path.is_file()))
    elif ":" in spec:
        settings["source"] = digest(_own_modules())
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
    return _hash(path.read_bytes() for path in files)


def _hash(parts: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.hexdigest()[:16]


def commit(apart: Path | None) -> str | None:
    """The commit of the working folder, with a + and a hash of how tracked files differ; None outside of a repository.

    The file ``apart`` may differ: it is the one that the numbers are written to.
    """
    top, head = _git("rev-parse", "--show-toplevel"), _git("rev-parse", "--short=12", "HEAD")
    if not top or not head:
        return None
    own = apart and apart.resolve()
    without = [f":(top,exclude,literal){own.relative_to(top).as_posix()}"] if own and own.is_relative_to(top) else []
    changes = _git("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index", "HEAD", "--", ":/", *without)
    return head + (f"+{_hash([changes.encode(errors='surrogateescape')])}" if changes else "")


@cache
def version() -> str:
    """Waypost's version, with a + and a hash of its source where that is being worked on rather than installed."""
    package = Path(waypost.__file__).parent
    if _installed(package):
        return waypost.__version__
    return f"{waypost.__version__}+{digest(sorted(package.rglob('*.py')))}"


def _own_modules() -> list[Path]:
    """The files of all modules that belong to neither Python nor Waypost nor an installed package, by name."""
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    kept = {name: Path(file) for name, file in files.items() if file and name.partition(".")[0] not in _NOT_OWN}
    return [kept[name] for name in sorted(kept) if kept[name].is_file() and not _installed(kept[name])]


def _installed(path: Path) -> bool:
    python = (Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
    return not _PACKAGES.isdisjoint(path.parts) or any(path.is_relative_to(folder) for folder in python)


def _git(*arguments: str) -> str:
    """What git says, or nothing where it is not installed or has nothing to say."""
    try:
        # Fixed words, and whichever git the user has.
        done = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
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
