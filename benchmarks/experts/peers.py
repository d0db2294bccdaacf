"""Other people's layers: transformers' Mixtral from the environment, lucidrains' from the user's cache folder."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LUCIDRAINS = "mixture-of-experts==0.2.3"
#: Beyond this many tokens ``batched_mm``, which copies an expert for each assignment, takes seconds.
FEW = 8


class Missing(Exception):
    """A peer that cannot be had; the text says why."""


def mixtral(swiglu: Any, k: int, tokens: int) -> dict[str, Callable[[Any], Tensor]]:
    """Mixtral's experts with each of its implementations, and the weights of ours."""
    try:
        from transformers import MixtralConfig
        from transformers.models.mixtral.modeling_mixtral import MixtralExperts
    except ImportError as error:
        reason = f"transformers has no MixtralExperts here ({error})"
        return {"mixtral_eager": _missing(reason), "mixtral_grouped_mm": _missing(reason)}
    experts, hidden, width = swiglu.up_EHD.shape
    made = {}
    for name in ("eager", "grouped_mm", *(["batched_mm"] if tokens <= FEW else [])):
        config = MixtralConfig(
            hidden_size=width, intermediate_size=hidden, num_local_experts=experts, num_experts_per_tok=k
        )
        config._experts_implementation = name
        theirs = MixtralExperts(config).to(swiglu.up_EHD.dtype)
        with torch.no_grad():
            theirs.gate_up_proj.copy_(torch.cat([swiglu.gate_EHD, swiglu.up_EHD], 1))
            theirs.down_proj.copy_(swiglu.down_EDH)
        made[f"mixtral_{name}"] = _Mixtral(theirs)
    return made


class _Mixtral:
    def __init__(self, experts: Any) -> None:
        self.experts = experts

    def __call__(self, work: Any) -> Tensor:
        for parameter in self.experts.parameters():
            parameter.grad = None
        out: Tensor = self.experts(work.x_TD, work.experts_TK, work.weights_TK)
        return out


def lucidrains(width: int, hidden: int, experts: int, dtype: torch.dtype) -> dict[str, Callable[[Any], Tensor]]:
    """Its whole layer: the gate, two experts a token, and slots by one-hot multiplication, cannot be taken apart."""
    if dtype != torch.float32:
        return {"lucidrains": _missing("its gate multiplies float32 by the layer's type, which torch refuses")}
    try:
        layer = _lucidrains().MoE(dim=width, num_experts=experts, hidden_dim=hidden, activation=torch.nn.GELU)
    except Missing as error:
        return {"lucidrains": _missing(str(error))}
    layer.to(dtype)

    def path(work: Any) -> Tensor:
        for parameter in layer.parameters():
            parameter.grad = None
        out: Tensor = layer(work.x_TD[None])[0][0]
        return out

    return {"lucidrains": path}


def _lucidrains() -> Any:
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "waypost" / "bench" / LUCIDRAINS.replace("==", "-")
    if not (folder / "mixture_of_experts").exists():
        print(f"Installing {LUCIDRAINS} into {folder}; this happens once", file=sys.stderr)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), LUCIDRAINS]
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
            raise Missing(f"pip could not install {LUCIDRAINS}")
    sys.path.append(str(folder))
    try:
        return importlib.import_module("mixture_of_experts")
    finally:
        sys.path.remove(str(folder))


def _missing(reason: str) -> Callable[[Any], Tensor]:
    def path(work: Any) -> Tensor:
        raise Missing(reason)

    return path
