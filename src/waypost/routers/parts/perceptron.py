"""Hidden layers and one head per target: trained with torch, used with numpy.

Shape suffixes: N rows, D features, H hidden units, K targets, R rows that were held out, B rows of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from waypost.routers.parts.linear import fit_heads
from waypost.routers.parts.targets import column_means
from waypost.routers.parts.training import Trained, torch_or_sentence, train
from waypost.types import Floats

if TYPE_CHECKING:
    from torch import Tensor

DIVERGENCES = ("squared", "kl")
_PENALTY = 3.0  # of a later head: fifty rows move it away from their mean only where they agree
_NEWTON = 25
_SURE = 1e-3  # a head's first guess is this far from 0 and 1 at least, where the sigmoid has a slope


class Descent(NamedTuple):
    """How a network is trained: its size, and the settings of `waypost.routers.parts.training.train`."""

    hidden: int
    layers: int
    dropout: float
    lr: float
    weight_decay: float
    batch: int
    epochs: int
    patience: int
    seed: int


@dataclass
class Perceptron:
    """Fully connected layers of ReLU, then a head per target, a part of a router.

    Under the divergence ``squared`` heads are linear and targets are regressed as z-scores, so that each counts
    alike whatever its unit. Under ``kl`` heads are sigmoids and what falls is KL(target || estimate) of each target as
    the chance of one answer, for targets in 0..1: binary cross-entropy with soft labels, less a constant. Both
    are Bregman divergences, so what is learned is the expected target, and both skip cells that are missing.  A target
    that was never measured stays unknown (NaN).
    """

    center_D: Floats = field(default_factory=lambda: np.empty(0))
    scale_D: Floats = field(default_factory=lambda: np.empty(0))
    layers: dict[str, Floats] = field(default_factory=dict)
    shift_K: Floats = field(default_factory=lambda: np.empty(0))
    unit_K: Floats = field(default_factory=lambda: np.empty(0))
    divergence: str = "squared"

    @classmethod
    def fitted(
        cls,
        features_ND: Floats,
        values_NK: Floats,
        weight_N: Floats,
        prompts: Sequence[str],
        *,
        dim: int,
        divergence: str,
        descent: Descent,
        router: str,
    ) -> tuple[Self, Trained]:
        """Train on the known cells; the first ``dim`` features are a unit vector and share one scale.

        Raises:
            NotInstalled: torch is missing.
        """
        torch_or_sentence(router)
        center_D, scale_D = _standard(features_ND, weight_N, dim)
        means_K = column_means(values_NK, weight_N)
        if divergence == "kl":
            shift_K, unit_K, target_NK = np.zeros_like(means_K), np.ones_like(means_K), values_NK
            start_K = np.clip(means_K, _SURE, 1 - _SURE)
            start_K = np.log(start_K / (1 - start_K))
        else:
            deviation_K = np.sqrt(column_means(np.square(values_NK - means_K), weight_N))
            shift_K, unit_K = means_K, np.where(deviation_K > 0, deviation_K, 1.0)
            target_NK, start_K = (values_NK - shift_K) / unit_K, np.zeros_like(means_K)
        x_ND = (features_ND - center_D) / scale_D
        layers, trained = _descend(x_ND, target_NK, weight_N, prompts, np.nan_to_num(start_K), divergence, descent)
        # Adding what is unknown makes a sum unknown.
        shift_K = np.where(np.isnan(means_K), np.nan, shift_K)
        return cls(center_D, scale_D, layers, shift_K, unit_K, divergence), trained

    def with_heads(self, features_ND: Floats, values_NK: Floats, weight_N: Floats, places: Sequence[int]) -> Self:
        """A network with further heads before these places, fitted on the known rows of their targets; the rest stays.

        The hidden layers stay too, so a head is a ridge regression on them, or under ``kl`` a logistic one.
        """
        hidden_NH = self.hidden(features_ND)
        fit = _logistic if self.divergence == "kl" else _linear
        weight_HK, bias_K = (
            np.array(part) for part in zip(*(fit(hidden_NH, y_N, weight_N) for y_N in values_NK.T), strict=True)
        )
        last = len(self.layers) // 2 - 1
        layers = {
            **self.layers,
            f"weight{last}": np.insert(self.layers[f"weight{last}"], places, weight_HK.T, axis=1),
            f"bias{last}": np.insert(self.layers[f"bias{last}"], places, bias_K),
        }
        shift_K, unit_K = np.insert(self.shift_K, places, 0.0), np.insert(self.unit_K, places, 1.0)
        return replace(self, layers=layers, shift_K=shift_K, unit_K=unit_K)

    def hidden(self, features_ND: Floats) -> Floats:
        """The last hidden layer, (N, H)."""
        x_NH = (features_ND - self.center_D) / self.scale_D
        for layer in range(len(self.layers) // 2 - 1):
            x_NH = np.maximum(x_NH @ self.layers[f"weight{layer}"] + self.layers[f"bias{layer}"], 0)
        return x_NH

    def heads(self, hidden_NH: Floats) -> Floats:
        """The estimates (N, K) from the last hidden layer."""
        last = len(self.layers) // 2 - 1
        out_NK = hidden_NH @ self.layers[f"weight{last}"] + self.layers[f"bias{last}"]
        if self.divergence == "kl":
            out_NK = (1 + np.tanh(out_NK / 2)) / 2  # the sigmoid, without overflow
        return np.asarray(out_NK * self.unit_K + self.shift_K)

    def __call__(self, features_ND: Floats) -> Floats:
        """The estimates (N, K)."""
        return self.heads(self.hidden(features_ND))


def check_descent(descent: Descent) -> None:
    """Refuse settings that train nothing.

    Raises:
        ValueError: a setting is out of range.
    """
    for name in ("hidden", "layers", "batch", "epochs", "patience"):
        if getattr(descent, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(descent, name)}")
    if not 0 <= descent.dropout < 1:
        raise ValueError(f"dropout is a share of units, from 0 to below 1, got {descent.dropout}")
    if descent.lr <= 0 or descent.weight_decay < 0:
        raise ValueError(
            f"lr must be above 0 and weight_decay not below it, got {descent.lr} and {descent.weight_decay}"
        )


def _linear(hidden_NH: Floats, target_N: Floats, weight_N: Floats) -> tuple[Floats, float]:
    """A head by ridge regression, its penalty chosen by leave-one-out; unknown (NaN) where no target is known."""
    fit = fit_heads(hidden_NH, target_N[:, None], weight_N, dim=hidden_NH.shape[1], alpha=None)
    weight_H = fit.heads_DK[:, 0].astype(np.float64) / fit.scale_D
    return weight_H, float(fit.bias_K[0] - fit.center_D @ weight_H)


def _logistic(hidden_NH: Floats, target_N: Floats, weight_N: Floats) -> tuple[Floats, float]:
    """A head by ridge regression of the chance's logarithmic odds: Newton's method on the penalised cross-entropy."""
    known_N = ~np.isnan(target_N) & (weight_N > 0)
    x_ND = np.hstack([hidden_NH[known_N], np.ones((known_N.sum(), 1))])
    weight_N = weight_N[known_N] / weight_N[known_N].mean()
    target_N = np.clip(target_N[known_N], _SURE, 1 - _SURE)
    penalty_D = np.append(np.full(hidden_NH.shape[1], _PENALTY), 1e-6)
    head_D = np.zeros(len(penalty_D))
    for _ in range(_NEWTON):
        chance_N = (1 + np.tanh(x_ND @ head_D / 2)) / 2
        slope_D = x_ND.T @ (weight_N * (chance_N - target_N)) + penalty_D * head_D
        curve_N = weight_N * np.maximum(chance_N * (1 - chance_N), _SURE)
        head_D = head_D - np.linalg.solve((x_ND * curve_N[:, None]).T @ x_ND + np.diag(penalty_D), slope_D)
    return head_D[:-1], float(head_D[-1])


def _standard(features_ND: Floats, weight_N: Floats, dim: int) -> tuple[Floats, Floats]:
    """What to subtract from features and to divide them by; a unit vector keeps its shape."""
    share_N = weight_N / weight_N.sum()
    center_D = share_N @ features_ND
    deviation_D = np.sqrt(share_N @ np.square(features_ND - center_D))
    deviation_D[:dim] = np.sqrt(np.square(deviation_D[:dim]).mean())
    return center_D, np.where(deviation_D > 1e-9, deviation_D, 1.0)


def _descend(
    x_ND: Floats,
    target_NK: Floats,
    weight_N: Floats,
    prompts: Sequence[str],
    start_K: Floats,
    divergence: str,
    descent: Descent,
) -> tuple[dict[str, Floats], Trained]:
    """Train, and give the weights as arrays that a row is multiplied with from the left."""
    import torch

    module = _network(x_ND.shape[1], start_K, descent)
    x, target = torch.from_numpy(x_ND).float(), torch.from_numpy(target_NK).float()
    known = (~torch.isnan(target)).float() * torch.from_numpy(weight_N).float()[:, None]
    target = torch.nan_to_num(target)

    def loss(rows: Any) -> Tensor:
        out, share = module(x[rows]), known[rows]
        if divergence == "kl":
            cells = torch.nn.functional.binary_cross_entropy_with_logits(out, target[rows], reduction="none")
        else:
            cells = torch.square(out - target[rows])
        return (cells * share).sum() / share.sum().clamp(min=1e-12)

    trained = train(
        module.parameters(),
        loss,
        prompts,
        seed=descent.seed,
        epochs=descent.epochs,
        batch=descent.batch,
        lr=descent.lr,
        weight_decay=descent.weight_decay,
        patience=descent.patience,
        module=module,
    )
    layers = {}
    for number, linear in enumerate(part for part in module if isinstance(part, torch.nn.Linear)):
        layers[f"weight{number}"] = linear.weight.detach().double().numpy().T.copy()
        layers[f"bias{number}"] = linear.bias.detach().double().numpy().copy()
    return layers, trained


def _network(inputs: int, start_K: Floats, descent: Descent) -> Any:
    """Layers drawn from the seed; heads that begin with the same guess for every prompt."""
    import torch

    parts: list[torch.nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(descent.seed)
        for layer in range(descent.layers):
            units = torch.nn.Linear(descent.hidden if layer else inputs, descent.hidden)
            parts += [units, torch.nn.ReLU(), torch.nn.Dropout(descent.dropout)]
        heads = torch.nn.Linear(descent.hidden, len(start_K))
    with torch.no_grad():
        heads.weight.zero_()
        heads.bias.copy_(torch.from_numpy(start_K))
    return torch.nn.Sequential(*parts, heads)
