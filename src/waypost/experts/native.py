"""Products of rows with their experts' weights in C (folder `c`), built where they run when they are first wanted.

It is built once, in a second or two, for the processor that it runs on, and kept in ``$XDG_CACHE_HOME/waypost/native``
(``~/.cache``).  Where there is no C compiler torch's products are used: they give the same, later.  So they are on
processors that it was not measured on, which are all but those of x86.  ``WAYPOST_NATIVE=1`` builds it there too, and
``WAYPOST_NATIVE=0`` nowhere; ``CC`` names another compiler.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import Tensor

SOURCES = tuple(sorted(Path(__file__).with_name("c").glob("*.[ch]")))
FLAGS = ("-std=gnu11", "-O3", "-shared", "-fPIC")
LIBRARIES = ("-lm",)
#: For the processor at hand and several threads: what gcc and clang take, with less where a compiler knows less.
TUNED = (("-march=native", "-fopenmp"), ("-march=native",), ("-mcpu=native",), ())
MEASURED = ("x86_64", "amd64")
#: Multiplications from which on threads pay.
SHARED_FROM = 2_000_000

_log = logging.getLogger(__name__)
_pointer, _number, _flag = ctypes.c_void_p, ctypes.c_long, ctypes.c_int


@functools.cache
def library() -> ctypes.CDLL | None:
    """The built products, or None where they cannot be had; the log says why.

    >>> library() is library()
    True
    """
    asked = os.environ.get("WAYPOST_NATIVE", "")
    if asked == "0" or (asked != "1" and (os.name != "posix" or platform.machine() not in MEASURED)):
        return None
    try:
        found = ctypes.CDLL(str(_built()))
    except (OSError, subprocess.SubprocessError) as error:
        _log.info("experts compute with torch's products, since those in C could not be built: %s", error)
        return None
    sizes = (_pointer, _number, _number, _number)
    found.waypost_products.argtypes = (*sizes, _pointer, _pointer, _flag, _pointer, _flag)
    found.waypost_products_transposed.argtypes = found.waypost_products.argtypes
    found.waypost_outer.argtypes = (*sizes, _pointer, _pointer, _pointer, _flag, _flag)
    given = (_pointer,) * 6
    found.waypost_few.argtypes = (_number, _number, _number, _number, *given, _flag, _pointer, _flag)
    if found.waypost_has_pairs():
        for name in ("waypost_pairs", "waypost_pairs_transposed", "waypost_pairs_outer"):
            getattr(found, name).argtypes = (*sizes, _pointer, _pointer, _pointer, _flag)
    return found


def products(rows_AI: Tensor, weight_EIO: Tensor, ends_E: Tensor) -> Tensor:
    """Each float32 row times the weight of its group, float32; the weight may be transposed.

    Where there are `pairs` rows may be bfloat16, and then so are the products.

    >>> if library():
    ...     products(torch.ones(2, 1), torch.tensor([[[2.0]], [[3.0]]]), torch.tensor([1, 2], dtype=torch.int32))
    tensor([[2.],
            [3.]])
    """
    experts, inner, outer = weight_EIO.shape
    rows_AI, out_AO = rows_AI.contiguous(), rows_AI.new_empty(rows_AI.shape[0], outer)
    transposed, threads = not weight_EIO.is_contiguous(), _threads(rows_AI.numel() * outer)
    sizes = (experts, outer, inner) if transposed else (experts, inner, outer)
    given, to = (ends_E.data_ptr(), *sizes, rows_AI.data_ptr(), weight_EIO.data_ptr()), out_AO.data_ptr()
    if _is_short(rows_AI):
        call = _loaded().waypost_pairs_transposed if transposed else _loaded().waypost_pairs
        _done(call(*given, to, threads))
    else:
        call = _loaded().waypost_products_transposed if transposed else _loaded().waypost_products
        _done(call(*given, _is_short(weight_EIO), to, threads))
    return out_AO


def outer(left_AI: Tensor, right_AO: Tensor, out_EIO: Tensor, ends_E: Tensor) -> None:
    """Left rows transposed times right rows of each group that has any, written to its place in ``out_EIO``.

    Rows are float32, or bfloat16 where there are `pairs`.
    """
    left_AI, right_AO = left_AI.contiguous(), right_AO.contiguous()
    given = (ends_E.data_ptr(), *out_EIO.shape, left_AI.data_ptr(), right_AO.data_ptr(), out_EIO.data_ptr())
    threads = _threads(left_AI.numel() * right_AO.shape[1])
    if _is_short(left_AI):
        _done(_loaded().waypost_pairs_outer(*given, threads))
    else:
        _done(_loaded().waypost_outer(*given, _is_short(out_EIO), threads))


def few(
    x_TD: Tensor, experts_TK: Tensor, weights_TK: Tensor, gate_EHD: Tensor | None, up_EHD: Tensor, down_EDH: Tensor
) -> Tensor:
    """The weighed sum of each token's feed-forwards, float32, without sorting: fastest for a token or a few.

    It is down·GELU(up·x), and with a gate down·(SiLU(gate·x) * up·x).

    >>> if library():
    ...     few(torch.ones(1, 1), torch.tensor([[1]]), torch.ones(1, 1), None, *torch.full((2, 2, 1, 1), 9.0)).item()
    81.0
    """
    (tokens, width), hidden, k = x_TD.shape, up_EHD.shape[1], experts_TK.shape[1]
    x_TD, experts_TK, weights_TK = x_TD.contiguous(), experts_TK.contiguous(), weights_TK.contiguous()
    out_TD = x_TD.new_empty(tokens, width)
    failed = _loaded().waypost_few(
        *(tokens, k, width, hidden),
        *(experts_TK.data_ptr(), weights_TK.data_ptr(), x_TD.data_ptr()),
        *(None if gate_EHD is None else gate_EHD.data_ptr(), up_EHD.data_ptr(), down_EDH.data_ptr()),
        *(_is_short(up_EHD), out_TD.data_ptr(), _threads(tokens * k * width * hidden)),
    )
    _done(failed)
    return out_TD


def can(weight_EIO: Tensor) -> bool:
    """Whether there is a product in C for such weights."""
    return (
        weight_EIO.dtype in (torch.float32, torch.bfloat16)
        and weight_EIO.device.type == "cpu"
        and (weight_EIO.is_contiguous() or weight_EIO.mT.is_contiguous())
        and library() is not None
    )


def pairs(weight_EIO: Tensor) -> bool:
    """Whether bfloat16 rows can be multiplied by such weights as they are: the processor takes pairs of numbers."""
    even = weight_EIO.shape[1] % 2 == weight_EIO.shape[2] % 2 == 0
    return even and _is_short(weight_EIO) and can(weight_EIO) and bool(_loaded().waypost_has_pairs())


def _loaded() -> ctypes.CDLL:
    found = library()
    if found is None:
        raise RuntimeError("the products in C are not built here; ask can() first")
    return found


def _is_short(weight: Tensor) -> bool:
    return weight.dtype == torch.bfloat16


def _done(failed: int) -> None:
    if failed:
        raise MemoryError("no memory to lay out rows for the products of experts")


def _threads(work: int) -> int:
    return torch.get_num_threads() if work >= SHARED_FROM else 1


def _built() -> Path:
    """The library's file, built now if it is not there yet."""
    named = shlex.split(os.environ.get("CC", ""))
    compiler = named or [found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))][:1]
    if not compiler:
        raise OSError("no C compiler was found (cc, gcc or clang); install one, or name it in CC")
    sources = [source.read_text() for source in SOURCES]
    made_of = [sources, compiler, FLAGS, TUNED, LIBRARIES, platform.machine(), _processor()]
    name = f"products-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:20]}.so"
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "waypost" / "native"
    if not (folder / name).exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=folder) as room:
            _compile(compiler, Path(room) / name)
            (Path(room) / name).replace(folder / name)  # at once, whoever else builds it too
    if (folder / name).stat().st_uid != os.getuid():
        raise OSError(f"{folder / name} belongs to somebody else; remove it, or name another folder in XDG_CACHE_HOME")
    return folder / name


def _compile(compiler: list[str], target: Path) -> None:
    said = ""
    for tuned in TUNED:
        files = [str(source) for source in SOURCES if source.suffix == ".c"]
        command = [*compiler, *FLAGS, *tuned, *files, "-o", str(target), *LIBRARIES]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603
        if done.returncode == 0:
            return
        said = done.stderr.strip()
    raise OSError(f"{compiler[0]} could not build the products: {said[-500:]}")


def _processor() -> str:
    """What tells processors with other instructions apart, where homes are shared by several machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
