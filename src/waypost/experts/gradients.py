"""Memory for the gradients of experts' weights: as large as all experts, and new at each step if nobody keeps it.

New memory is not free: the system has to find pages and fill them with zeros, which takes a good part of a step
with hundreds of experts.  So what was a gradient is used for the next one of the same weight, once nobody else holds
it, as after ``zero_grad()``.  It goes when its weight goes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

#: Bytes that are slower to clear than to get anew.
MUCH = 16 * 2**20
_last = WeakTensorKeyDictionary()
#: Bytes of a line of the cache.
LINE = 64
#: References to memory that nobody uses: the name of a local variable, and the call that counts them.
_FREE = 2


def room(weight: Tensor, sizes: list[int]) -> Tensor:
    """A tensor like ``weight``, 0 where an expert has no rows, and anything where it has.

    >>> room(torch.ones(2, 1, 1), [3, 0])[1].tolist()
    [[0.0]]
    """
    empty = [expert for expert, size in enumerate(sizes) if not size]
    if weight.device.type != "cpu":
        return torch.zeros_like(weight) if empty else torch.empty_like(weight)
    unused = weight.nbytes // max(len(sizes), 1) * len(empty)
    if unused > MUCH and 2 * unused > weight.nbytes:
        # The system fills pages with zeros when they are touched first: experts without rows cost nothing.
        return _as(weight, _aligned(np.zeros(weight.nbytes + LINE, np.uint8)))
    memory = _last.pop(weight, None)
    if memory is None or memory.nbytes != weight.nbytes or sys.getrefcount(memory) > _FREE:
        memory = _aligned(np.empty(weight.nbytes + LINE, np.uint8))  # numpy asks for large pages
    _last[weight] = memory
    if empty:
        each = memory.reshape(len(sizes), -1)
        for first, behind in _runs(empty):
            each[first:behind].fill(0)
    return _as(weight, memory)


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Where numbers that ascend follow one another: the first of each run, and the one behind its last.

    >>> list(_runs([0, 1, 4]))
    [(0, 2), (4, 5)]
    """
    first = behind = numbers[0]
    for number in numbers:
        if number != behind:
            yield first, behind
            first = number
        behind = number + 1
    yield first, behind


def _aligned(memory: np.ndarray) -> np.ndarray:
    """All but `LINE` bytes of memory, beginning where a line of the cache does."""
    start = -memory.ctypes.data % LINE
    return memory[start : len(memory) - LINE + start]


def _as(weight: Tensor, memory: np.ndarray) -> Tensor:
    return torch.from_numpy(memory).view(weight.dtype).view(weight.shape)
