"""Other gateways, each installed once into an environment of its own under the user's cache folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PLACES = "/usr/sbin:/usr/local/sbin"  # where servers are that no user's PATH knows


class CannotInstall(Exception):
    """The text says why."""


def python(spec: str) -> Path:
    """The Python of an environment that holds a pinned package such as ``litellm[proxy]==1.106.2``.

    Raises:
        CannotInstall: pip failed.
    """
    folder = _cache() / re.sub(r"\[.*\]", "", spec).replace("==", "-")
    found, stamp = folder / "bin" / "python", folder / ".ready"
    if not stamp.exists():
        print(f"Installing {spec} into {folder}; this happens once", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, stdout=sys.stderr)
        _pip(found, spec)
        stamp.touch()
    return found


def program(name: str, hint: str) -> str:
    """The path of a program.

    Raises:
        CannotInstall: it is not there; ``hint`` says how to bring it.
    """
    found = shutil.which(name) or shutil.which(name, path=PLACES)
    if found is None:
        raise CannotInstall(f"{name} is not installed ({hint})")
    return found


def _pip(python: Path, spec: str) -> None:
    """Install with a line a package, so that it is seen to move."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", spec]
    said = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            said = line.strip() or said
            if line.lstrip().startswith(("Downloading", "Using cached", "Installing collected")):
                print(f"  {' '.join(line.split()[:2])[:100]}", file=sys.stderr)
    if pip.returncode:
        raise CannotInstall(f"pip could not install {spec}: {said[:200]}")


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "waypost" / "bench"
