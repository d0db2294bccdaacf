"""Small language models of bytes: GRUs of several sizes, each trained on its own domains in a minute at most."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = 8.0  # of a byte: the loss of a guess that knows nothing
_EMBEDDED, _BATCH, _WINDOW = 48, 64, 32
_LR, _CLIP = 2e-2, 1.0
_START = 10  # a text is taken to follow a new line
_SCORED = 64  # snippets at once


@dataclass(frozen=True)
class Expert:
    """A language model and what it was trained on."""

    name: str
    domains: tuple[str, ...]
    model: Any
    parameters: int


def plan(domains: Sequence[str]) -> dict[str, tuple[tuple[str, ...], int]]:
    """Domains and hidden units of each expert: one for each domain, of three sizes in turn; of code; of everything."""
    sizes = (48, 80, 128)
    experts = {f"{domain}-{sizes[k % 3]}": ((domain,), sizes[k % 3]) for k, domain in enumerate(domains)}
    code = tuple(domain for domain in domains if domain in ("python", "c", "perl"))
    if len(code) > 1:
        experts["code-128"] = (code, 128)
    return experts | {"all-48": (tuple(domains), 48), "all-160": (tuple(domains), 160)}


def train(
    name: str, domains: tuple[str, ...], hidden: int, training: Mapping[str, bytes], *, steps: int, seed: int
) -> Expert:
    """Train one expert on equal shares of its domains."""
    import torch

    torch.manual_seed(seed)
    model = _network(hidden)
    texts = [torch.frombuffer(bytearray(training[domain]), dtype=torch.uint8).long() for domain in domains]
    draw = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=_LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LR, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        which = torch.randint(len(texts), (_BATCH,), generator=draw).tolist()
        starts = torch.rand(_BATCH, generator=draw).tolist()
        pairs = [(texts[k], int(s * (len(texts[k]) - _WINDOW - 1))) for k, s in zip(which, starts, strict=True)]
        window = torch.stack([text[at : at + _WINDOW + 1] for text, at in pairs])
        loss = torch.nn.functional.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimiser.step()
        schedule.step()
    return Expert(name, domains, model.eval(), sum(p.numel() for p in model.parameters()))


def bits_per_byte(expert: Expert, snippets: Sequence[str]) -> tuple[NDArray[np.float64], float]:
    """The mean loss of each snippet's bytes in bits, (N,), and the seconds that one snippet takes."""
    import torch

    encoded = [text.encode() for text in snippets]
    found = np.empty(len(encoded))
    began = time.process_time()
    for start in range(0, len(encoded), _SCORED):
        part = encoded[start : start + _SCORED]
        longest = max(map(len, part))
        told = torch.tensor([list(text) + [-1] * (longest - len(text)) for text in part])
        before = torch.cat([torch.full((len(part), 1), _START), told[:, :-1].clamp(min=0)], dim=1)
        with torch.no_grad():
            logits = expert.model(before).flatten(0, 1)
            losses = torch.nn.functional.cross_entropy(logits, told.flatten(), ignore_index=-1, reduction="none")
        lengths = torch.tensor([len(text) for text in part])
        found[start : start + len(part)] = (losses.view(len(part), -1).sum(dim=1) / lengths / math.log(2)).numpy()
    return found, (time.process_time() - began) / len(encoded)


def _network(hidden: int) -> Any:
    import torch

    class Bytes(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(256, _EMBEDDED)
            self.gru = torch.nn.GRU(_EMBEDDED, hidden, batch_first=True)
            self.head = torch.nn.Linear(hidden, 256)

        def forward(self, before: Any) -> Any:
            return self.head(self.gru(self.embed(before))[0])

    return Bytes()
