"""Small Bayesian networks: fitted with torch by variational inference, used with numpy at their posterior means.

Each has three affine layers, with LayerNorm and ReLU after the first two; every weight has a Gaussian of its own,
N(mean, deviation), and one draw of all of them is used a step (Blundell et al. 2015, arXiv 1505.05424).  Shape
suffixes: N rows, D features, U units, O outputs, H networks side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from waypost.routers.parts.training import torch_or_sentence, train
from waypost.types import Floats

if TYPE_CHECKING:
    from torch import Tensor

Singles = NDArray[np.float32]
_EPSILON = 1e-5  # of LayerNorm
_LAYERS = ("in", "mid", "out")


@dataclass(frozen=True)
class Schedule:
    """How a network is fitted: its units, the prior's deviation, the weight of the divergence, and the descent's."""

    units: int
    prior: float
    kl: float
    epochs: int
    batch: int
    lr: float
    seed: int


@dataclass
class Bayes:
    """Networks of one shape, side by side: ``bayes(h, x_ND)`` gives logits and their variance, (N, O) each.

    ``weights`` holds a mean for each weight of the three layers and of LayerNorm's, stacked (H, ...);
    ``deviation_HUO`` and ``deviation_HO`` are those of the last layer, from which the variance comes.
    """

    center_HD: Floats = field(default_factory=lambda: np.empty((0, 0)))
    scale_HD: Floats = field(default_factory=lambda: np.empty((0, 0)))
    weights: dict[str, Singles] = field(default_factory=dict)
    deviation_HUO: Singles = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))
    deviation_HO: Singles = field(default_factory=lambda: np.empty((0, 0), np.float32))

    @classmethod
    def stacked(cls, networks: Sequence[Bayes]) -> Self:
        """Several networks, each fitted by itself, as one."""
        return cls(
            np.concatenate([one.center_HD for one in networks]),
            np.concatenate([one.scale_HD for one in networks]),
            {name: np.concatenate([one.weights[name] for one in networks]) for name in networks[0].weights},
            np.concatenate([one.deviation_HUO for one in networks]),
            np.concatenate([one.deviation_HO for one in networks]),
        )

    @classmethod
    def fitted(
        cls, router: str, x_ND: Floats, true_NO: Floats, weight_NO: Floats, prompts: Sequence[str], how: Schedule
    ) -> Self:
        """Fit one network to labels of 0 and 1, each weighing what it weighs; rows of one prompt stay on one side.

        The loss is the weighted cross-entropy and ``kl`` times the mean divergence of a weight from N(0, prior).
        Between steps the network is judged at its means.

        Raises:
            NotInstalled: torch is missing.
        """
        torch = torch_or_sentence(router)
        center_D, scale_D = x_ND.mean(axis=0), x_ND.std(axis=0)
        scale_D[scale_D < 1e-6] = 1.0
        x = torch.from_numpy(((x_ND - center_D) / scale_D).astype(np.float32))
        true, weight = (torch.from_numpy(part.astype(np.float32)) for part in (true_NO, weight_NO))
        outputs = max(int((weight_NO > 0).any(axis=0).sum()), 1)
        means = _drawn(torch, x.shape[1], how.units, true.shape[1], how.seed)
        spread = {
            name: torch.full_like(means[name], float(np.log(how.prior))).requires_grad_()
            for name in means
            if name.split("_")[0] in _LAYERS
        }

        def loss(rows: Any) -> Tensor:
            drawing = torch.is_grad_enabled()
            logits = _logits(torch, x[rows], {
                name: mean + torch.exp(spread[name]) * torch.randn_like(mean) if drawing and name in spread else mean
                for name, mean in means.items()
            })  # fmt: skip
            apart = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, true[rows], weight[rows], reduction="none"
            )
            divergence = _divergence(torch, means, spread, how.prior)
            found: Tensor = apart.sum() / (len(rows) * outputs) + how.kl * divergence
            return found

        train([*means.values(), *spread.values()], loss, prompts, seed=how.seed, epochs=how.epochs, batch=how.batch,
              lr=how.lr)  # fmt: skip
        weights = {name: mean.detach().numpy()[None] for name, mean in means.items()}
        deviations = [torch.exp(spread[name]).detach().numpy()[None] for name in ("out_weight", "out_bias")]
        return cls(center_D[None], scale_D[None], weights, *deviations)

    def __call__(self, h: int, x_ND: Floats) -> tuple[Floats, Floats]:
        """Logits of network ``h`` at its means, and their variance over the last layer's weights."""
        w = {name: weight[h] for name, weight in self.weights.items()}
        hidden = ((x_ND - self.center_HD[h]) / self.scale_HD[h]).astype(np.float32)
        for layer in _LAYERS[:2]:
            hidden = hidden @ w[f"{layer}_weight"] + w[f"{layer}_bias"]
            hidden -= hidden.mean(axis=1, keepdims=True)
            hidden /= np.sqrt(hidden.var(axis=1, keepdims=True) + _EPSILON)
            hidden = np.maximum(hidden * w[f"norm_{layer}_gain"] + w[f"norm_{layer}_shift"], 0)
        logit_NO = hidden @ w["out_weight"] + w["out_bias"]
        variance_NO = np.square(hidden) @ np.square(self.deviation_HUO[h]) + np.square(self.deviation_HO[h])
        return logit_NO.astype(np.float64), variance_NO.astype(np.float64)


def _drawn(torch: Any, features: int, units: int, outputs: int, seed: int) -> dict[str, Tensor]:
    """Means to begin with: of a layer's weights uniform within ±1/√(inputs), as of any affine layer."""
    rng = np.random.default_rng(seed)
    means = {}
    for layer, inputs, out in zip(_LAYERS, (features, units, units), (units, units, outputs), strict=True):
        bound = 1 / np.sqrt(inputs)
        means[f"{layer}_weight"] = rng.uniform(-bound, bound, (inputs, out))
        means[f"{layer}_bias"] = rng.uniform(-bound, bound, out)
        if layer != "out":
            means[f"norm_{layer}_gain"], means[f"norm_{layer}_shift"] = np.ones(units), np.zeros(units)
    return {name: torch.from_numpy(mean.astype(np.float32)).requires_grad_() for name, mean in means.items()}


def _logits(torch: Any, hidden: Tensor, w: dict[str, Tensor]) -> Tensor:
    for layer in _LAYERS[:2]:
        hidden = hidden @ w[f"{layer}_weight"] + w[f"{layer}_bias"]
        gain, shift = w[f"norm_{layer}_gain"], w[f"norm_{layer}_shift"]
        hidden = torch.relu(torch.nn.functional.layer_norm(hidden, gain.shape, gain, shift, _EPSILON))
    logits: Tensor = hidden @ w["out_weight"] + w["out_bias"]
    return logits


def _divergence(torch: Any, means: dict[str, Tensor], spread: dict[str, Tensor], prior: float) -> Tensor:
    """The mean over all weights of the divergence KL(N(mean, deviation) || N(0, prior))."""
    total: Tensor = torch.zeros(())
    count = 0
    for name, log_deviation in spread.items():
        squares = torch.exp(2 * log_deviation) + torch.square(means[name])
        total = total + (np.log(prior) - log_deviation + squares / (2 * prior**2) - 0.5).sum()
        count += log_deviation.numel()
    return total / count
