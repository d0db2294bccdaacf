"""The page of the experts' speed is what its rows say, and every way to compute them gives the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks" / "experts"


def test_the_page_is_what_the_rows_say() -> None:
    subprocess.run([sys.executable, FOLDER / "page.py", "--check"], check=True)


def test_every_way_that_drops_nothing_gives_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (FOLDER, FOLDER.parent):
        monkeypatch.syspath_prepend(str(folder))
    # The gateway's benchmark has files of the same names: neither is to find the other's.
    for file in FOLDER.glob("*.py"):
        monkeypatch.setitem(sys.modules, file.stem, None)
        del sys.modules[file.stem]
    import paths

    point = paths.Point(8, 8, 1, load="zipf")
    at, (work,) = paths.bench(point), paths.works(point, 1)
    checked = {name: shared for name, shared in at.experts.items() if name != "one_hot"}
    assert {"ours", "ours_swiglu", "grouped_mm", "mixtral_eager"} <= set(checked)
    for name, shared in checked.items():
        near = paths.reference(shared, work).float()
        torch.testing.assert_close(at.paths[name](work), near, rtol=1e-4, atol=1e-5)
