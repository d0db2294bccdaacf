"""What a training step needs beside tokens and parameters, as the number of experts grows.

python benchmarks/experts/memory.py ours 64    # MB of one path, in a process of its own
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATHS = ("ours", "grouped_mm", "segments")
TOKENS, K = 2048, 2


def peaks() -> Iterator[dict[str, Any]]:
    """A row for each path and number of experts."""
    for experts in (8, 64, 256):
        for name in PATHS if experts < 256 else PATHS[:2]:
            command = [sys.executable, __file__, name, str(experts)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            yield {
                **{"path": name, "N": TOKENS, "E": experts, "k": K, "load": "even", "dtype": "float32", "threads": 1},
                **{"mode": "memory", "peak_mb": float(said[0]), "gradients_mb": float(said[1])},
            }


def main() -> None:
    """Print the peak of a training step above what was there before, and the size of its gradients, in MB."""
    import torch

    from paths import Point, bench, works

    name, experts = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    point = Point(TOKENS, experts, K)
    at, (work,) = bench(point), works(point, 1)
    work.x_TD.requires_grad_()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    at.paths[name](work).sum().backward()
    gradients = sum(p.grad.nbytes for p in at.parameters if p.grad is not None)
    print(round((_status("VmHWM") - before) / 1e3, 1), round(gradients / 1e6, 1))


def _status(name: str) -> int:
    """KB that this process has."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
