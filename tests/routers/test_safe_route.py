"""The head that learns where asking another model turns wrong into right."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from waypost.checks import check_router
from waypost.errors import BadTable, NotInstalled, UnknownModel
from waypost.evaluation import play
from waypost.objective import Objective
from waypost.outcomes import Outcomes, example_table
from waypost.routers import Head, SafeRoute, load, make, save
from waypost.strategies import Cascade
from waypost.types import Answer, ModelCard, Outcome, Query

SMALL = {"units": 16, "paraphrases": 1, "lr": 0.01}
# Who is right on what: the small model on sums; on law the large one alone; on chess neither.
RIGHT = {"sums": (0.95, 0.95), "law": (0.1, 0.95), "chess": (0.1, 0.1)}
UNSURE = "Perhaps it is so."


def recorded(n=360, seed=0, models=("small", "large")):
    rng = np.random.default_rng(seed)
    for i in range(n):
        topic = list(RIGHT)[i % 3]
        prompt = f"A question of {topic}, number {i}"
        for place, model in enumerate(models):
            right = float(rng.random() < RIGHT[topic][min(place, 1)])
            text = "It is so." if topic == "sums" or place else UNSURE
            yield Outcome(str(i), prompt, topic, model, right, 1e-6 * 10**place, 0.1 + place, 9, 6, text)


TABLE = Outcomes.from_rows(recorded())


@pytest.fixture(scope="module")
def head():
    return SafeRoute(**SMALL).fit(TABLE)


def asked_next(head, topic, objective=Objective()):  # noqa: B008 - a frozen dataclass
    cascade = Cascade(head, {name: ModelCard(name) for name in head.models})
    query = Query.of(f"A question of {topic}, number 999")
    run = cascade.run(query, cascade.decide(query, objective))
    assert next(run).model == "small"
    try:
        return run.send(Answer("small", "It is so." if topic == "sums" else UNSURE, 9, 6)).model
    except StopIteration:
        return None


def test_a_larger_model_is_asked_where_it_helps_and_not_wherever_the_small_one_is_unsure(head):
    assert [asked_next(head, topic) for topic in RIGHT] == [None, "large", None]


def test_a_price_raises_the_threshold(head):
    # The price is weighed in units of quality: what is won above the usual is at most 2/3 here.
    assert asked_next(head, "law", Objective(usd=1e3)) == "large"
    assert asked_next(head, "law", Objective(usd=1e5)) is None


def test_with_two_models_the_network_is_the_papers(head):
    from torch import nn, tensor

    answer, prompt = Answer("small", UNSURE, 9, 6), "A question of law, number 999"
    net, h = head.networks, head.models.index("small")

    def affine(name):
        weight, bias = net.weights[f"{name}_weight"][h], net.weights[f"{name}_bias"][h]
        layer = nn.Linear(*weight.shape)
        layer.weight.data, layer.bias.data = tensor(weight.T.copy()), tensor(bias)
        return layer

    def norm(name):
        layer = nn.LayerNorm(head.units)
        layer.weight.data = tensor(net.weights[f"norm_{name}_gain"][h])
        layer.bias.data = tensor(net.weights[f"norm_{name}_shift"][h])
        return layer

    paper = nn.Sequential(affine("in"), norm("in"), nn.ReLU(), affine("mid"), norm("mid"), nn.ReLU(), affine("out"))
    x_ND = np.random.default_rng(0).normal(size=(20, net.center_HD.shape[1]))
    scaled = tensor(((x_ND - net.center_HD[h]) / net.scale_HD[h]).astype(np.float32))
    np.testing.assert_allclose(net(h, x_ND)[0], paper(scaled).detach().numpy(), rtol=1e-3, atol=1e-4)
    large = head.models.index("large")
    assert head.balanced([prompt], [answer])[0][0, large] > 0.5


def test_without_a_price_the_networks_half_decides(head):
    small, large = (head.models.index(name) for name in ("small", "large"))
    texts = [(row.prompt, row.answer) for row in recorded(90, seed=2) if row.model == "small"]
    better, gains = [], []
    for prompt, text in texts:
        answer = Answer("small", text, 9, 6)
        better.append(head.balanced([prompt], [answer])[0][0, large])
        quality_M = head.revise(prompt, answer).answered.quality_NM[0]
        gains.append(quality_M[large] - quality_M[small])
    assert 10 < sum(p > 0.5 for p in better) < 80
    assert [p > 0.5 for p in better] == [gain > 0 for gain in gains]


def test_the_spread_is_that_of_the_expected_quality_and_not_of_the_balanced_chance(head):
    """As many standard deviations of the logit as the quality moves by when the logit moves by one."""
    small, large = (head.models.index(name) for name in ("small", "large"))
    prompt, answer = "A question of law, number 999", Answer("small", UNSURE, 9, 6)
    [[*_, balanced]], [[*_, deviation]] = (part[:, [small, large]] for part in head.balanced([prompt], [answer]))
    after = head.revise(prompt, answer).answered
    usual = head.usual_MM[small, large]
    logit, step = np.log(balanced / (1 - balanced)) + np.log(usual / (1 - usual)), 1e-6
    slope = np.subtract(*(1 / (1 + np.exp(-logit - side)) for side in (step, -step))) / (2 * step)
    assert after.spread_NM[0, large] == pytest.approx(slope * deviation / (balanced * (1 - balanced)), rel=1e-4)
    assert after.spread_NM[0, small] == 0


def test_answers_of_several_models_are_judged_together(head):
    asked = [(f"A question of {topic}", Answer(name, UNSURE)) for topic in RIGHT for name in head.models]
    together = head.balanced(*map(list, zip(*asked, strict=True)))
    for n, (prompt, answer) in enumerate(asked):
        for part, alone in zip(together, head.balanced([prompt], [answer]), strict=True):
            np.testing.assert_allclose(part[n], alone[0], rtol=1e-4)


def test_each_pair_of_three_models_is_judged_by_itself():
    # The third is as good as the second, and the second gains nothing from it.
    head = SafeRoute(**SMALL).fit(Outcomes.from_rows(recorded(models=("small", "large", "huge"))))
    small, large, huge = (head.models.index(name) for name in ("small", "large", "huge"))
    after = head.revise("A question of law, number 999", Answer("small", UNSURE, 9, 6)).answered
    assert min(after.quality_NM[0, [large, huge]]) > after.quality_NM[0, small]
    assert head.usual_MM[large, huge] < head.usual_MM[small, huge]
    assert head.usual_MM[large, small] < 0.1


def test_a_model_that_was_not_asked_is_not_a_wrong_one():
    rows = list(recorded(models=("small", "large", "huge")))
    some = [row for row in rows if row.model != "huge" or int(row.id) % 2]
    full, half = (SafeRoute(**SMALL).fit(Outcomes.from_rows(part)) for part in (rows, some))
    pair = full.models.index("small"), full.models.index("huge")
    assert half.usual_MM[pair] == pytest.approx(full.usual_MM[pair], abs=0.05)
    better = half.balanced(["A question of law, number 999"], [Answer("small", UNSURE, 9, 6)])[0][0]
    assert better[pair[1]] > 0.5


def test_it_keeps_the_promises_of_a_router_too():
    class Answered(SafeRoute):
        def fit(self, outcomes):
            rows = [replace(row, answer=f"It is {row.quality}.") for row in outcomes.rows()]
            return super().fit(Outcomes.from_rows(rows).only(outcomes.models))

    assert check_router(lambda: Answered(units=2, paraphrases=1, epochs=1))


def test_the_order_of_rows_changes_nothing_and_a_saved_head_is_the_same(head, tmp_path):
    turned = SafeRoute(**SMALL).fit(TABLE.select(np.arange(len(TABLE))[::-1]))
    save(head, tmp_path)
    answer, prompt = Answer("small", UNSURE, 9, 6), "A question of chess, number 999"
    expected = head.revise(prompt, answer).answered
    for other in (turned, load(tmp_path)):
        for one, two in zip(expected[1:], other.revise(prompt, answer).answered[1:], strict=True):
            np.testing.assert_array_equal(one, two)


def test_torch_is_needed_to_fit_and_not_to_serve(head, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert head.revise("A question of law", Answer("small", UNSURE)).answered.models == ("small", "large")
    with pytest.raises(NotInstalled, match="router 'safe_route' is trained with torch"):
        SafeRoute(**SMALL).fit(TABLE)


def test_it_is_a_head_that_a_table_of_answers_trains(head):
    assert isinstance(head, Head)
    assert not isinstance(make("ridge"), Head)
    with pytest.raises(BadTable, match="no answers of 'tiny' were kept"):
        SafeRoute(**SMALL).fit(example_table(60))
    with pytest.raises(UnknownModel, match="tiny"):
        head.revise("Hi", Answer("tiny", "Hello"))


def test_it_is_played_as_a_cascade(head):
    test = Outcomes.from_rows(recorded(seed=1))
    earned, means = play(head, test, Objective()), test.means()
    assert earned.quality > means["small"][0] + 0.2
    assert earned.quality == pytest.approx(means["large"][0], abs=0.03)
    assert earned.calls_NM[:, test.models.index("large")].mean() == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [({"units": 0}, "units must be at least 1"), ({"prior": 0.0}, "prior must be above 0"),
     ({"paraphrases": -1}, "paraphrases must be at least 0"), ({"right": 1.5}, "right at most 1")],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused(setting, sentence):
    with pytest.raises(ValueError, match=sentence):
        SafeRoute(**setting)
