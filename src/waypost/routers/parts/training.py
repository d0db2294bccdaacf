"""Gradient descent for routers that are trained with torch: held-out rows, early stopping, progress.

Torch is only needed to fit; it is imported inside the functions, so that importing a router stays free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput, NotInstalled
from waypost.routers.progress import report

if TYPE_CHECKING:
    from torch import LongTensor, Tensor
    from torch.nn import Module

HELD = 0.1  # of the prompts, held out
_CHUNK = 4096  # held-out rows that are looked at at once


@dataclass(frozen=True)
class Trained:
    """How a fit went: epochs that were run, the least loss on held-out rows, and which rows (N,) those are."""

    epochs: int
    loss: float
    held_N: NDArray[np.bool_]


def torch_or_sentence(router: str) -> ModuleType:
    """Torch, or an error that says how to get it.

    Raises:
        NotInstalled: torch is missing.
    """
    try:
        import torch
    except ImportError as error:
        raise NotInstalled(f"router '{router}' is trained with torch, which is not installed: "
                           "pip install 'waypost[train]'") from error  # fmt: skip
    return torch


def hold_out(prompts: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Which rows are held out: about ``share`` of them, the same prompt always on one side, at least one on each.

    >>> hold_out(["a", "a", "b"], 0.5, seed=0).sum() in (1, 2)
    True
    """
    kinds, kind_N = np.unique(np.asarray(prompts, dtype=object), return_inverse=True)
    if len(kinds) < 2:
        return np.zeros(len(prompts), dtype=bool)
    count = min(max(1, round(share * len(kinds))), len(kinds) - 1)
    held = np.random.default_rng(seed).permutation(len(kinds))[:count]
    return np.isin(kind_N, held)


def train(
    parameters: Iterable[Tensor],
    loss: Callable[[LongTensor], Tensor],
    prompts: Sequence[str],
    *,
    seed: int,
    epochs: int,
    batch: int,
    lr: float,
    weight_decay: float = 0.0,
    patience: int = 5,
    held_N: NDArray[np.bool_] | None = None,
    module: Module | None = None,
) -> Trained:
    """Minimise ``loss``, the mean over some rows, by AdamW, and leave ``parameters`` where held-out loss was least.

    A tenth of the rows (one per prompt of ``prompts``), or those of ``held_N``, is never descended on; when
    ``patience`` epochs have not lowered their loss, training stops. ``module`` is put into training and evaluation mode
    where it is given.
    The same seed gives the same parameters: what else is random must be drawn from torch's own generator, which is
    seeded here and put back afterwards.

    Raises:
        BadInput: the loss is not a number any more.
    """
    import torch

    parameters = list(parameters)
    held_N = hold_out(prompts, HELD, seed) if held_N is None else held_N
    rows = torch.from_numpy(np.flatnonzero(~held_N))
    unseen = torch.from_numpy(np.flatnonzero(held_N if held_N.any() else ~held_N))
    best, best_loss, best_epoch, epoch = [p.detach().clone() for p in parameters], float("inf"), 0, 0
    optimiser = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for epoch in range(1, epochs + 1):
            _mode(module, training=True)
            for some in rows[torch.randperm(len(rows))].split(batch):
                optimiser.zero_grad()
                value = loss(some)
                value.backward()
                optimiser.step()
            _mode(module, training=False)
            with torch.no_grad():
                parts = [(len(some), float(loss(some))) for some in unseen.split(_CHUNK)]
            now = sum(n * value for n, value in parts) / len(unseen)
            if not np.isfinite(now):
                raise BadInput(f"the loss became {now} in epoch {epoch}; a smaller lr than {lr:g} may help")
            report(epoch, epochs, f"held-out loss {now:.4g}")
            if now < best_loss:
                best, best_loss, best_epoch = [p.detach().clone() for p in parameters], now, epoch
            elif epoch - best_epoch >= patience:
                break
    with torch.no_grad():
        for parameter, value in zip(parameters, best, strict=True):
            parameter.copy_(value)
    return Trained(epoch, best_loss, held_N)


def _mode(module: Module | None, *, training: bool) -> None:
    if module is not None:
        module.train(training)
