"""Routers in vision mixtures of experts: six ways of sending an image's patches to experts, at the same compute.

Claim: In sparse mixtures of experts for vision, routers whose experts choose tokens do better than those whose tokens
choose experts, and soft mixtures do best at the same compute.

Paper: Liu et al. 2024, "Routers in Vision Mixture of Experts: An Empirical Study", TMLR, arXiv 2401.15969: 32 experts
in vision transformers up to B/16, trained on JFT-300M and judged by few images a class of ImageNet; expert choice is
above token choice, and soft above all, at the same compute.

Tested: A vision transformer of two layers and width 32 on scikit-learn's digits, 16 patches of 2 x 2 pixels, noise of
standard deviation 0.5 on pixels from 0 to 2, trained for 20 epochs on 30 images a class; both feed-forward layers are
mixtures of 8 experts.  Six routers, each with the compute of two experts a token: softmax and Sinkhorn where tokens
choose (an expert takes its even share of an image, the likeliest first), the same and the sparse plan where experts
choose, and the soft one; beside them a dense layer of the same active size, and token choice with nothing dropped.
Noise, epochs and the learning rates tried, 0.005 and 0.01 (0.002 and 0.02 did worse), were set on images kept for
training, and each way's learning rate is chosen by validation within them.  Seven seeds draw training images, noise,
order and weights; the test's thousand images are never among those.  Intervals at 95 %, over seeds and test images, of
differences in accuracy, in points.  It holds if experts choosing beats tokens choosing for softmax and for Sinkhorn,
and soft beats each of the five, with whole intervals above 0; it does not if one lies wholly below.  The seven
intervals are not widened for how many they are.

Not tested: pre-training on 300 million images, transfer, larger networks, more experts, other capacities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from claims import Finding, Options, run
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from waypost.experts import (
    NONE,
    Context,
    ExpertChoice,
    FeedForward,
    MoE,
    SinkhornExpert,
    SinkhornToken,
    Soft,
    SparseTransport,
    TokenChoice,
)
from waypost.experts.losses import weighed
from waypost.types import Floats

PATCHES, WIDTH, EXPERTS, K, HIDDEN = 16, 32, 8, 2, 32
NOISE, SHOTS, EPOCHS, BATCH, FOLDS = 0.5, 30, 20, 25, 2
RATES = (5e-3, 1e-2)
DENSE, DROPLESS = "dense", "token choice, softmax, none dropped"

#: Two experts' worth of compute a token, each.
ROUTERS: dict[str, Callable[[], nn.Module]] = {
    "token choice, softmax": lambda: TokenChoice(WIDTH, EXPERTS, K, capacity_factor=1.0, priority=True),
    "token choice, Sinkhorn": lambda: SinkhornToken(WIDTH, EXPERTS, K, capacity_factor=1.0, priority=True),
    "expert choice, softmax": lambda: ExpertChoice(WIDTH, EXPERTS, K),
    "expert choice, Sinkhorn": lambda: SinkhornExpert(WIDTH, EXPERTS, K),
    "expert choice, sparse plan": lambda: SparseTransport(WIDTH, EXPERTS, K),
    "soft": lambda: Soft(WIDTH, EXPERTS, slots=PATCHES * K // EXPERTS),
    DROPLESS: lambda: TokenChoice(WIDTH, EXPERTS, K),
}
WAYS = (*ROUTERS, DENSE)


class Images(NamedTuple):
    """Patches of images, and what they show."""

    patches_NPV: Tensor
    digits_N: Tensor


class Block(nn.Module):
    """Attention between the patches of an image, and experts or one dense layer."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        if way == DENSE:
            self.dense: nn.Module | None = nn.Sequential(
                nn.Linear(WIDTH, K * HIDDEN), nn.GELU(), nn.Linear(K * HIDDEN, WIDTH)
            )
        else:
            self.dense = None
            self.mixture = MoE(ROUTERS[way](), FeedForward(WIDTH, HIDDEN, EXPERTS, bias=True))

    def forward(self, x_NPD: Tensor) -> tuple[Tensor, Tensor, float]:
        """The patches, what routers want to be told, and the share of places that nobody took."""
        q, k, v = (
            part.unflatten(-1, (4, -1)).transpose(1, 2) for part in self.qkv(self.before(x_NPD)).chunk(3, dim=-1)
        )
        x_NPD = x_NPD + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        inner_NPD = self.between(x_NPD)
        if self.dense is not None:
            return x_NPD + self.dense(inner_NPD), x_NPD.new_zeros(()), 0.0
        y_NPD, routing = self.mixture(inner_NPD, context=Context(group=PATCHES))
        told = weighed(routing.losses, dict.fromkeys(routing.losses, 0.005))
        unserved = float((routing.experts_TK == NONE).all(-1).float().mean())
        return x_NPD + y_NPD, told, unserved


class Network(nn.Module):
    """A small vision transformer."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.embed = nn.Linear(4, WIDTH)
        self.places_PD = nn.Parameter(0.5 * torch.randn(PATCHES, WIDTH))
        self.blocks = nn.ModuleList([Block(way), Block(way)])
        self.last, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, patches_NPV: Tensor) -> tuple[Tensor, Tensor, float]:
        """Scores of digits, the routers' losses, and the share of patches without any expert."""
        x_NPD = self.embed(patches_NPV) + self.places_PD
        told, unserved = x_NPD.new_zeros(()), 0.0
        for block in self.blocks:
            x_NPD, more, empty = block(x_NPD)
            told, unserved = told + more, unserved + empty / len(self.blocks)
        return self.head(self.last(x_NPD).mean(1)), told, unserved


def measure(options: Options) -> Finding:
    torch.set_num_threads(1)
    seeds = list(range(2 if options.quick else 7))
    rates = chosen_rates(options.quick)
    right: dict[str, list[Floats]] = {way: [] for way in WAYS}
    unserved: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed, way in product(seeds, WAYS):
        train, test = drawn(seed)
        right_N, empty = trained(way, rates[way], seed, train, test, epochs=8 if options.quick else EPOCHS)
        right[way].append(right_N)
        unserved[way].append(empty)
    values, bounds, gains = compared({way: np.stack(rows) for way, rows in right.items()})
    shares = {f"patches without expert: {way}": round(float(np.mean(unserved[way])), 3) for way in ROUTERS}
    shown = {f"learning rate: {way}": rate for way, rate in rates.items()}
    baselines = {
        name: values.pop(name) for name in list(values) if name in (f"accuracy: {DENSE}", f"accuracy: {DROPLESS}")
    }
    return Finding({**values, **shares, **shown}, verdict(gains), note(values, bounds, gains), baselines, bounds, seeds)


def kept() -> tuple[Tensor, Tensor]:
    """Which images are for training, and which for the test: always the same."""
    order_N = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    return order_N[:797], order_N[797:]


def drawn(seed: int) -> tuple[Images, Images]:
    """So many training images a digit, and the test's, with noise."""
    random = torch.Generator().manual_seed(1000 + seed)
    pixels, digits = load_digits(return_X_y=True)
    digits_N = torch.tensor(digits)
    noisy_NV = torch.tensor(pixels / 8, dtype=torch.float32)
    noisy_NV = noisy_NV + NOISE * torch.randn(noisy_NV.shape, generator=random)
    # Rows and columns of 4 patches, each of 2 x 2 pixels.
    patches_NPV = noisy_NV.view(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, PATCHES, 4)
    pool_N, test_N = kept()
    pool_N = pool_N[torch.randperm(len(pool_N), generator=random)]
    train_N = torch.cat([pool_N[digits_N[pool_N] == digit][:SHOTS] for digit in range(10)])
    train_N = train_N[torch.randperm(len(train_N), generator=random)]
    return Images(patches_NPV[train_N], digits_N[train_N]), Images(patches_NPV[test_N], digits_N[test_N])


def trained(
    way: str, rate: float, seed: int, train: Images, test: Images, epochs: int = EPOCHS
) -> tuple[Floats, float]:
    """Whether each test image is told after training, and the share of its patches that no expert took."""
    torch.manual_seed(seed)
    network = Network(way)
    steps = epochs * -(-len(train.digits_N) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.2)
    for _ in range(epochs):
        for part_B in torch.randperm(len(train.digits_N)).split(BATCH):
            scores_BC, told, _ = network(train.patches_NPV[part_B])
            optimiser.zero_grad()
            (F.cross_entropy(scores_BC, train.digits_N[part_B]) + told).backward()
            optimiser.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        scores_NC, _, unserved = network(test.patches_NPV)
    return (scores_NC.argmax(-1) == test.digits_N).double().numpy(), unserved


def chosen_rates(quick: bool) -> dict[str, float]:
    """The learning rate that does best for each way on training images that were left out."""
    if quick:
        return dict.fromkeys(WAYS, RATES[1])
    found: dict[str, list[float]] = {}
    for way, rate in product(WAYS, RATES):
        scores = []
        for fold in range(FOLDS):
            train, _ = drawn(fold)
            cut = len(train.digits_N) * 2 // 3
            halves = [Images(*(part[rows] for part in train)) for rows in (slice(cut), slice(cut, None))]
            scores.append(float(trained(way, rate, fold, *halves)[0].mean()))
        found.setdefault(way, []).append(float(np.mean(scores)))
    return {way: RATES[int(np.argmax(scores))] for way, scores in found.items()}


def pairs() -> dict[str, tuple[str, str]]:
    """The differences that the claim is about."""
    chosen = {f"expert less token choice, {plan}": (f"expert choice, {plan}", f"token choice, {plan}")
              for plan in ("softmax", "Sinkhorn")}  # fmt: skip
    return chosen | {f"soft less {way}": ("soft", way) for way in ROUTERS if way not in ("soft", DROPLESS)}


def compared(
    right: Mapping[str, Floats],
) -> tuple[dict[str, float], dict[str, Sequence[float]], dict[str, Sequence[float]]]:
    """Accuracies and differences in points, the intervals of all, and those of the claim's differences."""
    values: dict[str, float] = {}
    bounds: dict[str, Sequence[float]] = {}
    columns = {f"accuracy: {way}": rows_SN for way, rows_SN in right.items()}
    extra = {f"{way} less dense": (way, DENSE) for way in ("soft", "expert choice, softmax", "token choice, softmax")}
    extra["expert choice, softmax less token choice, none dropped"] = ("expert choice, softmax", DROPLESS)
    for name, (one, other) in (pairs() | extra).items():
        columns[name] = right[one] - right[other]
    for name, column_SN in columns.items():
        values[name] = round(100 * float(column_SN.mean()), 2)
        bounds[name] = interval(column_SN)
    return values, bounds, {name: bounds[name] for name in pairs()}


def interval(column_SN: Floats, resamples: int = 4000) -> list[float]:
    """Of the mean in points, over seeds and over images, both drawn anew."""
    seeds, images = column_SN.shape
    random = np.random.default_rng(0)
    weight_BS = random.multinomial(seeds, [1 / seeds] * seeds, resamples) / seeds
    weight_BN = random.multinomial(images, [1 / images] * images, resamples) / images
    means_B = 100 * ((weight_BS @ column_SN) * weight_BN).sum(1)
    return [round(float(bound), 2) for bound in np.percentile(means_B, [2.5, 97.5])]


def verdict(gains: Mapping[str, Sequence[float]]) -> bool | None:
    """True where all lie wholly above zero, False where one lies wholly below, else None."""
    if any(high < 0 for _, high in gains.values()):
        return False
    return True if all(low > 0 for low, _ in gains.values()) else None


def note(values: Mapping[str, float], bounds: Mapping[str, Sequence[float]], gains: Mapping[str, object]) -> str:
    """The differences that the claim is about, in points."""
    told = [f"{name} {values[name]:+.1f} ({bounds[name][0]:+.1f} to {bounds[name][1]:+.1f})" for name in gains]
    return f"In points of accuracy on digits: {'; '.join(told)}."


if __name__ == "__main__":
    run(__doc__, measure, system="Routers in vision MoE")
