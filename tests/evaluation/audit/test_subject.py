from dataclasses import replace

import numpy as np
import pytest

from waypost.errors import BadInput, UnknownModel
from waypost.evaluation.audit import Subject
from waypost.objective import Objective
from waypost.outcomes import Outcomes, example_table
from waypost.routers import make
from waypost.strategies import Cascade
from waypost.types import ModelCard, Query


def test_the_strong_model_is_the_best_or_the_one_designated(ruled):
    subject = ruled(lambda prompt: True)
    assert (subject.strong, subject.weak_M.tolist()) == ("large", [True, False])
    subject = ruled(lambda prompt: True, designated="small")
    assert (subject.strong, subject.weak_M.tolist()) == ("small", [False, True])
    with pytest.raises(UnknownModel, match="'larg'"):
        ruled(lambda prompt: True, designated="larg")


def test_models_that_the_table_lacks_are_said():
    table = example_table()
    with pytest.raises(BadInput, match=r"'ridge' chooses 'large'.*give the table"):
        Subject("ridge", make("ridge").fit(table), {"tiny": 0.5, "maths-expert": 0.5})


def test_the_trade_off_is_part_of_what_is_audited():
    table = example_table()
    quality = {name: mean for name, (mean, _) in table.means().items()}
    ridge = make("ridge").fit(table)
    prompts = table.prompts[:50]
    dear = Subject("ridge", ridge, quality).choose(prompts)
    frugal = Subject("ridge", ridge, quality, objective=Objective(usd=2000)).choose(prompts)
    assert (dear == table.models.index("large")).mean() > (frugal == table.models.index("large")).mean()


def test_a_cascade_is_audited_for_the_model_that_it_asks_first():
    table = example_table(120)
    costs = {"tiny": 3e-5, "maths-expert": 6e-5, "large": 7e-5}
    rows = [
        replace(row, usd=costs[row.model] + 1e-6 * len(row.prompt) * (row.model == "tiny"), answer="An answer.")
        for row in table.rows()
    ]
    head = make("cascade").fit(Outcomes.from_rows(rows))
    cards = {name: ModelCard(name) for name in table.models}
    subject = Subject("cascade", head, dict.fromkeys(table.models, 0.5), cards)
    asked = [Cascade(head, cards).decide(Query.of(prompt), Objective()).model for prompt in table.prompts]
    assert subject.chosen(table.prompts) == asked
    assert len(set(asked)) > 1
    assert subject.cascade


def test_what_is_no_prediction_is_refused(ruled):
    subject = ruled(lambda prompt: True)
    subject.made.predict = lambda prompts: "large"
    with pytest.raises(BadInput, match=r"must predict a waypost\.Prediction, got a str"):
        subject.choose(["Hi"])


def test_no_prompts_are_no_choices(ruled):
    assert ruled(lambda prompt: True).choose([]).tolist() == []
    assert ruled(lambda prompt: True).choose(np.array(["a", "b"]).tolist()).tolist() == [1, 1]
