"""What a router decides, and what it is told: all that passes between routers, dispatchers, experts and losses.

Shape suffixes of this room: T tokens, D width, E experts, K choices of a token, S slots of an expert, A assignments (a
token sent to an expert: T·K less those that are dropped), I and O widths in and out, H hidden width, R rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

#: In the place of an expert: this choice of the token goes nowhere.
NONE = -1


class Slots(NamedTuple):
    """The dense view: slot s of expert e takes Σ_t dispatch·x, and token t gets Σ_es combine·output.

    Reference: the unified form of Liu et al. 2024, "Routers in Vision Mixture of Experts", equations 1 and 2.
    """

    dispatch_TES: Tensor
    combine_TES: Tensor


class Routing(NamedTuple):
    """Which experts each token goes to, with what weight, and what the router wants to be told by training.

    ``weights_TK`` is float32 and 0 where ``experts_TK`` is `NONE`.  ``load_E`` counts the assignments of each expert.
    ``losses`` are not weighed yet; see `waypost.experts.losses.weighed`.  A soft router mixes tokens before experts see
    them and gives ``slots``; where tokens come in ``groups``, one after the other, it gives the S slots that a token's
    own group has of each expert, since those of other groups hold nothing of it.  ``shared_TER`` is what the router has
    computed of each expert, for experts that go on from there.

    >>> routing = Routing.of(torch.tensor([[0.9, 0.1], [1.0, 0.0]]), torch.tensor([[0, 2], [2, NONE]]), experts=3)
    >>> routing.load_E.tolist(), [tuple(part.shape) for part in routing.dense()]
    ([1, 0, 2], [(2, 3, 2), (2, 3, 2)])
    """

    weights_TK: Tensor
    experts_TK: Tensor
    load_E: Tensor
    losses: Mapping[str, Tensor]
    slots: Slots | None = None
    shared_TER: Tensor | None = None
    groups: int = 1

    @classmethod
    def of(
        cls,
        weights_TK: Tensor,
        experts_TK: Tensor,
        *,
        experts: int,
        losses: Mapping[str, Tensor] | None = None,
        shared_TER: Tensor | None = None,
    ) -> Routing:
        """A routing with its loads counted."""
        return cls(weights_TK, experts_TK, counted(experts_TK, experts), losses or {}, None, shared_TER)

    def dense(self) -> Slots:
        """The dense view, made when it is asked for: as many slots as the fullest expert needs, filled in order."""
        if self.slots is not None:
            return Slots(*(apart(part_TES, self.groups) for part_TES in self.slots))
        experts_A = self.experts_TK.flatten()
        tokens, choices = self.experts_TK.shape
        experts, slots = self.load_E.shape[0], int(self.load_E.max()) if self.load_E.numel() else 0
        mine_AE = experts_A[:, None] == torch.arange(experts, device=experts_A.device)
        place_A = ((mine_AE.cumsum(0) - 1) * mine_AE).sum(1)
        one_AES = mine_AE[:, :, None] & (place_A[:, None, None] == torch.arange(slots, device=experts_A.device))
        one_TKES = one_AES.view(tokens, choices, experts, slots).to(self.weights_TK.dtype)
        return Slots(one_TKES.sum(1), torch.einsum("tk,tkes->tes", self.weights_TK, one_TKES))


def apart(part_TES: Tensor, groups: int) -> Tensor:
    """Slots of each group beside those of the others, which are 0 for its tokens: (T, E, G·S).

    >>> apart(torch.tensor([[[1.0]], [[2.0]]]), groups=2).tolist()
    [[[1.0, 0.0]], [[0.0, 2.0]]]
    """
    if groups == 1:
        return part_TES
    tokens, experts, slots = part_TES.shape
    mine_TG = torch.eye(groups, dtype=part_TES.dtype, device=part_TES.device)
    mine_TG = mine_TG.repeat_interleave(tokens // max(groups, 1), 0)
    return (mine_TG[:, None, :, None] * part_TES[:, :, None, :]).reshape(tokens, experts, groups * slots)


def counted(experts_TK: Tensor, experts: int) -> Tensor:
    """How many assignments each expert has, int64.

    >>> counted(torch.tensor([[0, 1], [1, NONE]]), 3).tolist()
    [1, 2, 0]
    """
    flat_A = experts_TK.flatten()
    if flat_A.device.type == "cpu" and not torch.compiler.is_compiling():
        return torch.from_numpy(np.bincount(flat_A.numpy() + 1, minlength=experts + 1)[1:])  # several times as fast
    counts = torch.zeros(experts + 1, dtype=torch.int64, device=flat_A.device)
    # Those that go nowhere are counted in a place of their own: no shape depends on the data, as compilers want it.
    return counts.scatter_add_(0, torch.where(flat_A == NONE, experts, flat_A), torch.ones_like(flat_A))[:experts]


@dataclass(frozen=True)
class Control:
    """How a layer is to behave in this call: a schedule gives one a step, and a user may give one at any time.

    ``k`` stands in for the router's own.  ``temperature`` divides its scores.  ``stage`` counts from 1, for routers
    that are trained in stages.  ``frozen`` keeps its parameters from learning.  ``allowed_E`` (bool) masks experts
    out.  ``capacity`` is how many assignments an expert takes; what is beyond goes nowhere.
    """

    k: int | None = None
    temperature: float = 1.0
    stage: int = 1
    frozen: bool = False
    allowed_E: Tensor | None = None
    capacity: int | None = None


@dataclass(frozen=True)
class Context:
    """What is known of tokens beside their vectors.

    ``ids_T`` are their ids in the vocabulary, ``nodes_T`` the machines that they are on.  ``group`` consecutive tokens
    are one sequence or image, whose tokens compete with one another alone; 0: all do.  ``across`` are the processes
    that the batch is spread over, whose tokens balancing losses count too.
    """

    ids_T: Tensor | None = None
    nodes_T: Tensor | None = None
    group: int = 0
    across: ProcessGroup | None = None


#: Nothing said.
AS_IS = Control()
UNKNOWN = Context()


class Router(Protocol):
    """Scores tokens and chooses experts; never moves a token.

    ``causal`` routers decide on a token by itself, and so can be used where later tokens must not be seen.
    """

    experts: int
    causal: ClassVar[bool]

    def __call__(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens; ``x_TD`` may be of any float type."""
        ...
