"""StableMoE: what the first stage learns, and that nothing moves in the second."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from waypost.errors import BadInput
from waypost.experts import Context, Control, FeedForward, MoE, Schedule, Stable
from waypost.experts.losses import weighed

WORDS, WIDTH, EXPERTS = 30, 16, 4
SECOND = Control(stage=2)


@pytest.fixture
def layer() -> MoE:
    torch.manual_seed(0)
    return MoE(Stable(WIDTH, EXPERTS, vocabulary=WORDS), FeedForward(WIDTH, 8, EXPERTS))


def batch(count: int = 64) -> tuple[torch.Tensor, Context]:
    return torch.randn(count, WIDTH), Context(ids_T=torch.randint(WORDS, (count,)))


def expert_of_each_word(layer: MoE) -> list[int]:
    x_TD = torch.randn(WORDS, WIDTH)
    return layer.router(x_TD, SECOND, Context(ids_T=torch.arange(WORDS))).experts_TK[:, 0].tolist()


def trained(layer: MoE, optimiser: torch.optim.Optimizer, steps: range, keeps_zeros: bool = False) -> None:
    schedule = Schedule(stages=(10,))
    for step in steps:
        x_TD, context = batch()
        y_TD, routing = layer(x_TD, schedule.at(step), context)
        loss = (y_TD - x_TD.roll(1, 1)).square().mean() + weighed(routing.losses, {"balance": 0.3, "distil": 0.3})
        optimiser.zero_grad(set_to_none=not keeps_zeros)
        loss.backward()
        optimiser.step()


def test_in_stage_2_no_word_ever_changes_its_expert_while_the_rest_learns(layer: MoE) -> None:
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.05, weight_decay=0.1)
    trained(layer, optimiser, range(10))
    first, centroids_ED = expert_of_each_word(layer), layer.router.weight_ED.clone()
    for step in range(10, 40, 10):
        trained(layer, optimiser, range(step, step + 10))
        assert expert_of_each_word(layer) == first
    assert not torch.equal(layer.router.weight_ED, centroids_ED)


@pytest.mark.parametrize("made", [torch.optim.AdamW, lambda ps, lr: torch.optim.SGD(ps, lr, 0.9, weight_decay=0.1)])
def test_settled_it_stays_even_if_an_optimiser_is_handed_zeros(layer: MoE, made) -> None:
    optimiser = made(layer.parameters(), lr=0.05)
    trained(layer, optimiser, range(10), keeps_zeros=True)
    layer.router.settle()
    words_VR, light_ER = layer.router.words_VR.clone(), layer.router.light_ER.clone()
    trained(layer, optimiser, range(10, 30), keeps_zeros=True)
    assert torch.equal(layer.router.words_VR, words_VR) and torch.equal(layer.router.light_ER, light_ER)


def test_in_stage_1_training_moves_words(layer: MoE) -> None:
    """Without this the test of stage 2 would pass on a router that learns nothing."""
    first = expert_of_each_word(layer)
    trained(layer, torch.optim.AdamW(layer.parameters(), lr=0.05), range(10))
    assert expert_of_each_word(layer) != first


def test_in_stage_2_the_word_alone_decides_and_the_learned_score_weighs(layer: MoE) -> None:
    x_TD, context = batch()
    router = layer.router
    routing = router(x_TD, SECOND, context)
    expected_T = (router.words_VR[context.ids_T] @ router.light_ER.T).argmax(-1)
    assert torch.equal(routing.experts_TK[:, 0], expected_T)
    scores_T = (x_TD * router.weight_ED[expected_T]).sum(-1)
    torch.testing.assert_close(routing.weights_TK[:, 0], scores_T.sigmoid())
    (routing.weights_TK.sum() + weighed(routing.losses, {"balance": 0.3, "distil": 0.3})).backward()
    assert router.words_VR.grad is None and router.light_ER.grad is None and router.weight_ED.grad.any()


def test_the_stage_after_the_second_is_as_the_second(layer: MoE) -> None:
    x_TD, context = batch()
    third = layer.router(x_TD, Control(stage=3), context)
    assert torch.equal(third.experts_TK, layer.router(x_TD, SECOND, context).experts_TK)


def test_losses_are_those_of_the_paper_over_the_number_of_tokens(layer: MoE) -> None:
    x_TD, context = batch()
    router = layer.router
    routing = router(x_TD, Control(), context)
    chosen_T, even = (x_TD @ router.weight_ED.T).argmax(-1), len(x_TD) / EXPERTS
    balance = 0.0
    for e, centroid_D in enumerate(router.weight_ED.detach()):
        mine = chosen_T == e
        balance += (int(mine.sum()) - even) / even * float((x_TD[mine] @ centroid_D).sigmoid().sum())
    assert routing.losses["balance"].item() == pytest.approx(balance / len(x_TD), rel=1e-4)
    distil = F.cross_entropy(router.words_VR[context.ids_T] @ router.light_ER.T, chosen_T)
    assert routing.losses["distil"].item() == pytest.approx(distil.item(), rel=1e-5)


def test_balance_is_nought_when_loads_are_even(layer: MoE) -> None:
    layer.router.weight_ED.data = torch.eye(EXPERTS, WIDTH)
    x_TD = torch.eye(EXPERTS, WIDTH).repeat(3, 1)
    losses = layer.router(x_TD, Control(), Context(ids_T=torch.zeros(12, dtype=torch.long))).losses
    assert losses["balance"].item() == pytest.approx(0.0, abs=1e-7)


def test_losses_are_finite_where_an_expert_is_not_allowed(layer: MoE) -> None:
    x_TD, context = batch()
    routing = layer.router(x_TD, Control(allowed_E=torch.tensor([True, False, True, True])), context)
    weighed(routing.losses, {"balance": 1.0, "distil": 1.0}).backward()
    assert all(torch.isfinite(value.grad).all() for value in layer.router.parameters())


def test_the_light_router_learns_what_words_tell(layer: MoE) -> None:
    """Where the word decides what a token looks like, it comes to agree with the learned router."""
    look_VD = torch.randn(WORDS, WIDTH)
    optimiser = torch.optim.Adam([layer.router.words_VR, layer.router.light_ER], lr=0.05)
    for _ in range(60):
        ids_T = torch.randint(WORDS, (64,))
        optimiser.zero_grad()
        layer.router(look_VD[ids_T], Control(), Context(ids_T=ids_T)).losses["distil"].backward()
        optimiser.step()
    context = Context(ids_T=torch.arange(WORDS))
    learned, light = (layer.router(look_VD, control, context).experts_TK for control in (Control(), SECOND))
    assert (learned == light).double().mean() > 0.95


@pytest.mark.parametrize("control", [Control(), SECOND])
@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        (Context(), r"no ids of the tokens came.*Context\(ids_T="),
        (Context(ids_T=torch.tensor([1, 2])), r"ids have shape \(2,\), and tokens are 3"),
        (Context(ids_T=torch.tensor([1, 2, WORDS])), "ids go from 1 to 30, and the router knows 0 to 29.*tokenizer"),
        (Context(ids_T=torch.tensor([1, -1, 2])), "ids go from -1 to 2"),
        (Context(ids_T=torch.tensor([1.0, 2.0, 0.0])), "ids are torch.float32; they are whole numbers"),
    ],
)
def test_ids_that_cannot_be_used_are_said(layer: MoE, control: Control, context: Context, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        layer(torch.randn(3, WIDTH), control, context)


def test_a_router_without_words_is_refused() -> None:
    with pytest.raises(BadInput, match="vocabulary is 0 and embedding 50; each is at least 1"):
        Stable(WIDTH, EXPERTS, vocabulary=0)
