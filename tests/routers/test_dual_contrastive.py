"""Both losses are the paper's, the choice is the paper's, and cosines become qualities that can be trusted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from waypost.errors import BadInput
from waypost.outcomes import example_table
from waypost.routers import DualContrastive, dual_contrastive
from waypost.routers.parts import contrast
from waypost.routers.parts.training import HELD, Trained, hold_out

TRAIN, TEST = example_table(900, seed=1).split(0.7)


@pytest.fixture(scope="module")
def fitted():
    return DualContrastive(dims=32, epochs=25).fit(TRAIN)


def test_the_best_model_of_each_prompt_is_nearest(fitted):
    chosen = fitted.similarities(TEST.prompts).argmax(axis=1)
    earned = TEST.quality_NM[np.arange(len(TEST)), chosen].mean()
    assert earned > TEST.quality_NM.mean(axis=0).max() + 0.05


def test_quality_orders_models_as_their_cosines_above_usual_do(fitted):
    lead = fitted.similarities(TEST.prompts)
    lead = lead - lead.mean(axis=1, keepdims=True) - fitted.scale.usual_M
    above = fitted.predict(TEST.prompts).quality_NM - fitted.scale.mean_M
    inside = ((fitted.predict(TEST.prompts).quality_NM % 1) > 0).all(axis=1)
    assert inside.sum() > 20
    gaps = np.diff(above[inside], axis=1)
    assert fitted.scale.slope > 0
    assert np.allclose(gaps, fitted.scale.slope * np.diff(lead[inside], axis=1), atol=1e-6)


def test_expected_quality_is_calibrated(fitted):
    many = example_table(3000, seed=7)
    expected = fitted.predict(many.prompts).quality_NM
    assert np.abs(expected.mean(axis=0) - many.quality_NM.mean(axis=0)).max() < 0.06
    for low, high in ((0, 0.4), (0.4, 0.7), (0.7, 1.01)):
        cells = (expected >= low) & (expected < high)
        assert abs(expected[cells].mean() - many.quality_NM[cells].mean()) < 0.1


def losses(monkeypatch, table, **settings):
    """The loss at the parameters that a fit begins with, on all rows, and the router with those."""
    caught = {}

    def only_once(parameters, loss, prompts, **_):
        torch.manual_seed(9)
        caught["loss"] = loss(torch.arange(len(prompts))).item()
        return Trained(0, 0.0, np.ones(len(prompts), dtype=bool))

    monkeypatch.setattr(dual_contrastive, "train", only_once)
    router = DualContrastive(dims=8, **settings).fit(table)
    return caught["loss"], router


def seven(rows=40):
    """Seven models whose scores all differ, as the paper's code takes for granted."""
    table = example_table(rows, seed=3)
    quality = np.random.default_rng(0).permuted(np.tile(np.linspace(0, 1, 7), (rows, 1)), axis=1)
    return replace(
        table,
        models=tuple("abcdefg"),
        quality_NM=quality,
        usd_NM=np.full((rows, 7), np.nan),
        seconds_NM=np.full((rows, 7), np.nan),
        recorded=None,
    )


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_the_sample_llm_loss_is_the_papers(monkeypatch, temperature):
    table = seven()
    loss, router = losses(monkeypatch, table, sample_sample=0, temperature=temperature)
    order = sorted(range(len(table)), key=lambda n: (table.prompts[n], table.ids[n]))
    cosine_NM = router.similarities([table.prompts[n] for n in order])
    total = 0.0
    for n, z_M in zip(order, np.exp(cosine_NM / temperature), strict=True):
        ranked = np.argsort(-table.quality_NM[n])
        bottom = sum(z_M[j] for j in ranked[-3:] if table.quality_NM[n, j] <= 0.5)
        total += sum(-np.log(z_M[i] / (z_M[i] + bottom)) for i in ranked[:3] if table.quality_NM[n, i] > 0)
    assert loss == pytest.approx(total / len(table), rel=1e-4)


def test_the_sample_sample_loss_is_the_papers(monkeypatch):
    table = seven()
    drawn = {}

    def remembered(kind_N, others, drawn_N):
        draw = draws(kind_N, others, drawn_N)

        def draw_once(rows):
            drawn["rows"] = draw(rows)
            return drawn["rows"]

        return draw_once

    draws = contrast.draws
    monkeypatch.setattr(contrast, "draws", remembered)
    loss, router = losses(monkeypatch, table, sample_llm=0, sample_sample=0.5, clusters=3)
    order = sorted(range(len(table)), key=lambda n: (table.prompts[n], table.ids[n]))
    place_NP = router._place(dual_contrastive.features(router.encoder, [table.prompts[n] for n in order]))
    odds = np.exp(np.einsum("np,nhp->nh", place_NP, place_NP[drawn["rows"].numpy()]))
    assert odds.shape == (len(table), 4)
    assert loss == pytest.approx(-0.5 * np.log(odds[:, 0] / odds.sum(axis=1)).mean(), rel=1e-4)


def test_nothing_is_learnt_from_held_out_prompts_not_even_as_others(monkeypatch):
    """What the parameters become depends on no score and on no features of a row that is held out, but by stopping."""
    looked_at = set()

    class Watched(contrast.Dual):
        def __call__(self, places, models_MP, rows_B):
            def watched(rows):
                if torch.is_grad_enabled():
                    looked_at.update(rows.ravel().tolist())
                return places(rows)

            return super().__call__(watched, models_MP, rows_B)

    monkeypatch.setattr(dual_contrastive, "Dual", Watched)
    table = example_table(200)
    DualContrastive(dims=4, epochs=3).fit(table)
    held_N = hold_out(sorted(table.prompts), HELD, seed=0)
    assert looked_at == set(np.flatnonzero(~held_N))


def test_the_losses_add_up(monkeypatch):
    table = seven()
    both, one, other = (
        losses(monkeypatch, table, **given)[0] for given in ({}, {"sample_sample": 0}, {"sample_llm": 0})
    )
    assert both == pytest.approx(one + other, rel=1e-5)


def test_sample_sample_brings_kinds_together():
    def apart(weight):
        router = DualContrastive(dims=16, epochs=15, clusters=0, sample_sample=weight).fit(TRAIN)
        place_NP = router._place(dual_contrastive.features(router.encoder, TEST.prompts))
        groups = np.array(TEST.groups)
        same_NN = groups[:, None] == groups
        return (place_NP @ place_NP.T)[same_NN].mean() - (place_NP @ place_NP.T)[~same_NN].mean()

    assert apart(1.0) > apart(0.0) + 0.1


def test_bad_settings_are_refused():
    for wrong in ({"temperature": 0.001}, {"top_k": 0}, {"dims": 0}, {"lr": 0}, {"clusters": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            DualContrastive(**wrong)
    with pytest.raises(ValueError, match="nothing to learn"):
        DualContrastive(sample_llm=0, sample_sample=0)


def test_kinds_alone_need_two_kinds():
    alike = replace(TRAIN, groups=("all",) * len(TRAIN))
    with pytest.raises(BadInput, match="all prompts are of one kind"):
        DualContrastive(sample_llm=0, clusters=0).fit(alike)
