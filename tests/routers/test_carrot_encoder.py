"""CARROT's encoder form: what a prompt is expected to earn and cost, whatever else is asked at the same time."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from waypost.encoders import MiniLM, StaticEncoder
from waypost.errors import BadInput, NotFitted, NotInstalled
from waypost.outcomes import example_table
from waypost.routers import CarrotEncoder, save
from waypost.types import ModelCard

PROMPTS = ["What is 17 plus 26?", "Fix the bug in the method garden. " * 40, "Hi", "Tell me about the town of Elm."]


def test_it_learns_who_is_good_at_what():
    train, test = example_table(1200, seed=1).split()
    expected = CarrotEncoder(hidden=32, epochs=30).fit(train).predict(test.prompts)
    chosen = test.quality_NM[np.arange(len(test)), expected.quality_NM.argmax(axis=1)].mean()
    assert chosen > test.quality_NM.mean(axis=0).max() + 0.02


@pytest.mark.parametrize("encoder", [StaticEncoder, MiniLM])
def test_a_prompt_alone_and_beside_longer_ones_is_expected_to_do_the_same(encoder):
    router = CarrotEncoder(hidden=16, epochs=5, encoder=encoder()).fit(example_table(60))
    batch = router.predict(PROMPTS)
    for n, prompt in enumerate(PROMPTS):
        for one, many in zip(router.predict([prompt])[1:], batch[1:], strict=True):
            np.testing.assert_allclose(one[0], many[n], rtol=1e-9)


def test_costs_are_means_and_not_means_of_logarithms():
    """Costs that are mostly small and sometimes large: the objective weighs the mean, far above the typical cost."""
    table = example_table(600)
    usd = np.where(np.random.default_rng(0).random(table.usd_NM.shape) < 0.1, 1.0, 0.001)
    expected = CarrotEncoder(hidden=8, epochs=10).fit(replace(table, usd_NM=usd)).predict(table.prompts)
    np.testing.assert_allclose(expected.usd_NM.mean(axis=0), usd.mean(axis=0), atol=0.03)


def test_soft_labels_are_chances():
    table = example_table(400)
    soft = np.broadcast_to([0.2, 0.5, 0.9], table.quality_NM.shape)
    expected = CarrotEncoder(hidden=8, epochs=5).fit(replace(table, quality_NM=soft)).predict(PROMPTS)
    np.testing.assert_allclose(expected.quality_NM, np.broadcast_to([0.2, 0.5, 0.9], (4, 3)), atol=0.03)


def test_a_model_without_any_cost_has_an_unknown_cost():
    table = example_table(240)
    unpriced = replace(table, usd_NM=np.full(table.usd_NM.shape, np.nan))
    expected = CarrotEncoder(hidden=8, epochs=2).fit(unpriced).predict(["Hello"])
    assert np.isnan(expected.usd_NM).all()
    assert np.isfinite(expected.quality_NM).all()


def test_predicting_needs_no_torch(tmp_path):
    save(CarrotEncoder(hidden=8, epochs=2).fit(example_table(240)), tmp_path)
    code = (
        "import sys; sys.modules['torch'] = None; from pathlib import Path; from waypost.routers import load; "
        f"print(load(Path({str(tmp_path)!r})).predict(['Hello']).quality_NM.shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(1, 3)"


def test_without_torch_a_fit_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(NotInstalled, match=r"carrot_encoder.*waypost\[train\]"):
        CarrotEncoder().fit(example_table(60))


def test_a_setting_out_of_range_is_refused():
    with pytest.raises(ValueError, match="dropout"):
        CarrotEncoder(dropout=1.5)


def test_a_model_is_added_from_fifty_rows_and_the_others_stay():
    train, test = example_table(900, seed=2).split()
    hidden = "maths-expert"
    before = CarrotEncoder(hidden=32, epochs=30).fit(train.only(["tiny", "large"]))
    after = before.with_model(ModelCard(hidden), train.select(range(50)))
    known, wider = before.predict(test.prompts), after.predict(test.prompts)
    assert wider.models == ("tiny", "large", hidden)
    for one, other in zip(known[1:], wider[1:], strict=True):
        np.testing.assert_allclose(other[:, :2], one, rtol=1e-9)
    true_N = test.quality_NM[:, test.models.index(hidden)]
    error = np.square(wider.quality_NM[:, 2] - true_N).mean()
    assert error < 0.8 * np.square(train.quality_NM[:50, 1].mean() - true_N).mean()
    paid_N = test.usd_NM[:, 1]
    np.testing.assert_allclose(wider.usd_NM[:, 2].mean(), paid_N.mean(), rtol=0.2)
    assert (wider.spread_NM[:, 2] > 0).all()


def test_a_model_that_is_known_or_never_measured_is_not_added():
    router = CarrotEncoder(hidden=4, epochs=1).fit(example_table(60))
    with pytest.raises(BadInput, match="knows 'large' already"):
        router.with_model(ModelCard("large"), example_table(60))
    with pytest.raises(BadInput, match="no outcomes of 'new'"):
        router.with_model(ModelCard("new"), example_table(60))
    with pytest.raises(NotFitted):
        CarrotEncoder().with_model(ModelCard("new"), example_table(60))
