"""A learned router in the first stage of training, a light copy of it that never changes in the second (StableMoE)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from waypost.errors import BadInput
from waypost.experts.gate import best, check_sizes, choices, governed, logits_of
from waypost.experts.losses import mean, summed
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing


class Stable(nn.Module):
    """Learns where tokens go and distils it into a router that knows words alone; in stage 2 that one decides.

    In stage 1 a token goes to the expert whose centroid has the greatest product with it, and its weight is the sigmoid
    of that product.  The light router has a vector of ``embedding`` numbers for each of ``vocabulary`` words, and
    centroids of its own.  From ``Control(stage=2)`` on the word alone decides and the light router learns nothing; the
    weight is still the sigmoid of the learned score.  Evaluate in the stage that training has reached.

    In stage 2 the light router has no gradient, and optimisers leave such parameters alone.  One that is handed zeros
    for them does not: call `settle` when stage 2 begins.

    Losses, both means over tokens and 0 in stage 2: ``balance``, 0 when loads are even, and ``distil``, the
    cross-entropy of the light router towards what the learned one chooses.  The paper weighs each by 0.3.  k above 1
    is ours; the light router then learns first choices.

    Raises:
        BadInput: no words or no embedding; and, when called, tokens without ids, or with ids that are no words.

    Reference: Dai et al. 2022, "StableMoE: Stable Routing Strategy for Mixture of Experts".

    >>> router, context = Stable(8, experts=4, vocabulary=100), Context(ids_T=torch.tensor([7, 3, 7]))
    >>> where_TK = router(torch.randn(3, 8), Control(stage=2), context).experts_TK
    >>> bool(where_TK[0] == where_TK[2])
    True
    """

    causal: ClassVar[bool] = True

    def __init__(self, width: int, experts: int, k: int = 1, *, vocabulary: int, embedding: int = 50) -> None:
        super().__init__()
        check_sizes(experts, k)
        if min(vocabulary, embedding) < 1:
            raise BadInput(f"vocabulary is {vocabulary} and embedding {embedding}; each is at least 1")
        self.experts, self.k, self.vocabulary = experts, k, vocabulary
        self.words_VR = nn.Parameter(torch.empty(vocabulary, embedding).normal_(std=embedding**-0.5))
        self.weight_ED = nn.Parameter(nn.init.orthogonal_(torch.empty(experts, width), gain=0.1))
        self.light_ER = nn.Parameter(nn.init.orthogonal_(torch.empty(experts, embedding), gain=0.1))

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens, by their vectors in stage 1 and by their ids from stage 2 on."""
        k = choices(control, self.k, self.experts)
        ids_T = self._ids(x_TD, context)
        scores_TE = governed(logits_of(x_TD, self.weight_ED), control)
        if control.stage > 1:
            light_TE = logits_of(F.embedding(ids_T, self.words_VR.detach()), self.light_ER.detach())
            _, experts_TK = best(governed(light_TE, control), k)
            nothing = scores_TE.new_zeros(())
            found = {"balance": nothing, "distil": nothing}
        else:
            light_TE = logits_of(F.embedding(ids_T, self.words_VR), self.light_ER)
            _, experts_TK = best(scores_TE, k)
            found = self._losses(scores_TE, light_TE, experts_TK, context, control)
        weights_TK = scores_TE.gather(1, experts_TK).sigmoid()
        return Routing.of(weights_TK, experts_TK, experts=self.experts, losses=found)

    def settle(self) -> None:
        """Take the light router out of training for good, whatever an optimiser does with gradients of zero.

        >>> router = Stable(8, experts=4, vocabulary=100)
        >>> router.settle()
        >>> [name for name, value in router.named_parameters() if value.requires_grad]
        ['weight_ED']
        """
        for value in (self.words_VR, self.light_ER):
            value.requires_grad_(False)
            value.grad = None

    def _losses(
        self, scores_TE: Tensor, light_TE: Tensor, experts_TK: Tensor, context: Context, control: Control
    ) -> dict[str, Tensor]:
        mine_TE = torch.zeros_like(scores_TE).scatter(1, experts_TK, 1.0)
        load_E, weight_E = (summed(part_TE, context.across) for part_TE in (mine_TE, mine_TE * scores_TE.sigmoid()))
        open_to = self.experts if control.allowed_E is None else control.allowed_E.sum()
        even = (load_E.sum() / open_to).clamp(min=1e-9)
        balance = (load_E / even - 1) @ weight_E / load_E.sum().clamp(min=1)
        distil_T = F.cross_entropy(light_TE, experts_TK[:, 0], reduction="none")
        return {"balance": balance, "distil": mean(distil_T, context.across)}

    def _ids(self, x_TD: Tensor, context: Context) -> Tensor:
        ids_T = context.ids_T
        if ids_T is None:
            raise BadInput("no ids of the tokens came, and this router knows words by them; give Context(ids_T=…)")
        if ids_T.shape != x_TD.shape[:1]:
            raise BadInput(f"ids have shape {tuple(ids_T.shape)}, and tokens are {len(x_TD)}; give one id a token")
        if ids_T.is_floating_point():
            raise BadInput(f"ids are {ids_T.dtype}; they are whole numbers, the words' places in the vocabulary")
        if not torch.compiler.is_compiling() and len(ids_T):
            low, high = int(ids_T.min()), int(ids_T.max())
            if low < 0 or high >= self.vocabulary:
                raise BadInput(
                    f"ids go from {low} to {high}, and the router knows 0 to {self.vocabulary - 1}; make it with the "
                    "vocabulary of your tokenizer"
                )
        return ids_T

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{"vocabulary": 16}, {"vocabulary": 16, "k": 2, "embedding": 5}]
