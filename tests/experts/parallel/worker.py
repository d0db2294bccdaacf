"""The processes that the checks of this folder's test files run in; see conftest.py."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed as dist

from waypost.experts.parallel import Levels, levels

WORLD, NODES = 4, 2


@dataclass
class Here:
    """This process, and groups that are new for each check: one that breaks a group breaks no other check."""

    rank: int
    folder: Path
    store: dist.Store

    def everyone(self) -> dist.ProcessGroup:
        return dist.new_group(list(range(WORLD)), timeout=timedelta(seconds=30))

    def pair(self) -> dist.ProcessGroup:
        """Processes 0 and 1, 2 and 3."""
        both = [dist.new_group(ranks) for ranks in ([0, 1], [2, 3])]
        return both[self.rank // 2]

    def levels(self) -> Levels:
        return levels(NODES)


def checks() -> list[tuple[str, object]]:
    found = []
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found += [(f"{file.stem}.{check.__name__}", check) for check in getattr(module, "CHECKS", [])]
    return sorted(found, key=lambda pair: "dies" in pair[0])  # after that one there are fewer processes


def main(rank: int, folder: Path) -> None:
    signal.alarm(150)  # should nobody be left who would stop it
    store = dist.FileStore(str(folder / "store"), WORLD)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=WORLD, timeout=timedelta(seconds=30))
    here = Here(rank, folder, dist.PrefixStore("checks", store))
    said = {}
    for name, check in checks():
        torch.manual_seed(0)
        try:
            check(here)
            said[name] = ""
        except Exception:  # noqa: BLE001 - told to the test, which fails with it
            said[name] = traceback.format_exc()
        (folder / f"{rank}.json").write_text(json.dumps(said))
    os._exit(0)  # groups with a process missing cannot be taken down in an orderly way


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.testing.assert_close(1.0, 1.0)  # imports what it needs when it is first called
    for rank in range(WORLD):  # after everything is imported, which takes longer than all checks
        if os.fork() == 0:
            main(rank, Path(sys.argv[1]))
    for _ in range(WORLD):
        os.wait()
