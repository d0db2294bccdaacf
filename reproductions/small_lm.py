"""A small transformer language model with a mixture of experts, and text to train it on: what several claims share.

The text is Python's standard library, which every machine with Python has: words and signs of its sources, the most
frequent ones as a vocabulary.  Nothing is downloaded, and nothing of it is kept here.
"""

from __future__ import annotations

import re
import sysconfig
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from scipy.special import stdtrit
from torch import Tensor, nn
from torch.nn import functional as F

from waypost.experts import Context, Control, FeedForward, MoE, Router, Routing, Schedule
from waypost.experts.losses import weighed

#: Makes a router of a width.
Make = Callable[[int], Router]


@dataclass(frozen=True)
class Text:
    """Token ids to train on and held out, from different files; id 0 stands for every rare word."""

    train_N: Tensor
    test_N: Tensor
    vocabulary: int

    def batch(self, drawn: torch.Generator, sequences: int, length: int, *, held_out: bool = False) -> Tensor:
        """Random pieces, (sequences, length + 1)."""
        text_N = self.test_N if held_out else self.train_N
        starts_B = torch.randint(len(text_N) - length - 1, (sequences,), generator=drawn)
        return text_N[starts_B[:, None] + torch.arange(length + 1)]


@cache
def words(vocabulary: int = 1000, most: int = 400_000) -> Text:
    """The standard library's words and signs; every tenth file is held out."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    cut = re.compile(r"[A-Za-z_]+|[0-9]+|[^\sA-Za-z0-9_]|\n[ ]*")
    parts: dict[bool, list[str]] = {False: [], True: []}
    for place, file in enumerate(files):
        parts[place % 10 == 9] += cut.findall(file.read_text(encoding="utf-8", errors="replace"))
    frequent = Counter(parts[False]).most_common(vocabulary - 1)
    number = {word: place for place, (word, _) in enumerate(frequent, start=1)}
    train, test = (torch.tensor([number.get(word, 0) for word in parts[out][:most]]) for out in (False, True))
    return Text(train, test, vocabulary)


@cache
def characters(most: int = 1_000_000) -> Text:
    """The same sources letter by letter, in ASCII."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    parts = {False: bytearray(), True: bytearray()}
    for place, file in enumerate(files):
        parts[place % 10 == 9] += bytes(b for b in file.read_bytes() if b < 128)
    train, test = (torch.frombuffer(parts[out][:most], dtype=torch.uint8).long() for out in (False, True))
    return Text(train, test, 128)


class Block(nn.Module):
    """Causal attention, then a mixture of experts (or any other module that gives tokens and a routing)."""

    def __init__(self, width: int, heads: int, moe: nn.Module) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.moe = moe

    def forward(self, x_BLD: Tensor, control: Control, context: Context) -> tuple[Tensor, Routing]:
        """Tokens and how they were routed."""
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(self.before(x_BLD)).chunk(3, -1)
        )
        x_BLD = x_BLD + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        y_BLD, routing = self.moe(self.between(x_BLD), control, context)
        return x_BLD + y_BLD, routing


class LanguageModel(nn.Module):
    """Predicts the next token; ``moe`` makes the mixture of each layer from the width."""

    def __init__(
        self,
        vocabulary: int,
        moe: Callable[[int], nn.Module],
        *,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        length: int = 64,
    ) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        for table in (self.embed, self.place):
            nn.init.normal_(table.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads, moe(width)) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids_BL: Tensor, control: Control | None = None) -> tuple[Tensor, list[Routing]]:
        """Scores of the next token, (B, L, vocabulary), and the routing of each layer."""
        x_BLD = self.embed(ids_BL) + self.place.weight[: ids_BL.shape[1]]
        context = Context(ids_T=ids_BL.flatten(), group=ids_BL.shape[1])
        routings = []
        for block in self.blocks:
            x_BLD, routing = block(x_BLD, control or Control(), context)
            routings.append(routing)
        return self.norm(x_BLD) @ self.embed.weight.T, routings


def mixture(make: Make, *, hidden: int = 64) -> Callable[[int], MoE]:
    """Mixtures with feed-forward experts around a router; with one seed all else is the same, whatever the router."""

    def made(width: int) -> MoE:
        seed = int(torch.randint(2**31, ()))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            router = make(width)
        return MoE(router, FeedForward(width, hidden, router.experts))

    return made


@dataclass(frozen=True)
class Plan:
    """How to train: ``weights`` are those of the router's losses, ``watch`` is called after every step."""

    steps: int = 300
    sequences: int = 16
    length: int = 64
    rate: float = 2e-3
    weights: Mapping[str, float] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)
    watch: Callable[[int, list[Routing]], None] | None = None


def train(model: LanguageModel, text: Text, plan: Plan, seed: int) -> LanguageModel:
    """Train on random pieces of the text; the rate warms up for a tenth of the steps and then falls to 0."""
    drawn = torch.Generator().manual_seed(seed)
    learned = [value for value in model.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=plan.rate, weight_decay=0.01)
    model.train()
    for step in range(plan.steps):
        share = min((step + 1) / (0.1 * plan.steps), (plan.steps - step) / (0.9 * plan.steps))
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * share
        ids_BL = text.batch(drawn, plan.sequences, plan.length)
        logits_BLV, routings = model(ids_BL[:, :-1], plan.schedule.at(step))
        loss = F.cross_entropy(logits_BLV.flatten(0, 1), ids_BL[:, 1:].flatten())
        for routing in routings:
            loss = loss + weighed(routing.losses, plan.weights)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        if plan.watch is not None:
            plan.watch(step, routings)
    return model


@torch.no_grad()
def loss_of(
    model: LanguageModel, text: Text, control: Control | None = None, *, batches: int = 20, length: int = 64
) -> Tensor:
    """The mean loss in nats of each held-out batch, the same batches for everyone."""
    drawn = torch.Generator().manual_seed(12345)
    model.eval()
    losses = []
    for _ in range(batches):
        ids_BL = text.batch(drawn, 32, length, held_out=True)
        logits_BLV, _ = model(ids_BL[:, :-1], control)
        losses.append(F.cross_entropy(logits_BLV.flatten(0, 1), ids_BL[:, 1:].flatten()))
    return torch.stack(losses)


def curve(model: LanguageModel, text: Text, ks: Sequence[int], *, batches: int) -> list[float]:
    """The mean held-out loss with each number of active experts."""
    return [float(loss_of(model, text, Control(k=k), batches=batches).mean()) for k in ks]


def over_seeds(each: Sequence[float]) -> tuple[float, list[float]]:
    """The mean of one number a seed, and its interval."""
    return round(sum(each) / len(each), 5), interval(each)


def interval(each: Sequence[float]) -> list[float]:
    """The 95 % interval of a mean over seeds, by Student's t."""
    values = torch.tensor(each, dtype=torch.float64)
    wide = float(stdtrit(len(each) - 1, 0.975)) * float(values.std()) / len(each) ** 0.5
    return [round(float(values.mean()) + side * wide, 5) for side in (-1, 1)]
