"""A budget is kept on average, wherever it is said, and refused where it cannot be."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

import openai
import pytest

from waypost import routers
from waypost.errors import BadConfig, BadInput, BadRequest, NoModelLeft, UnknownModel
from waypost.gateway.choice.budgets import Budgets
from waypost.gateway.server import Gateway
from waypost.gateway.settings import load
from waypost.objective import Objective
from waypost.outcomes import example_table

NAMES = ("tiny", "maths-expert", "large")
PROMPTS = example_table(40, seed=1).prompts
BUDGET = 0.0001


@pytest.fixture
def router(tmp_path):
    """A folder with a saved router, with or without the sample that a budget is solved on."""

    def saved(*, sample: bool = True):
        folder = tmp_path / f"router-{sample}"
        routers.save(routers.make("ridge").fit(example_table(300)), folder, sample=PROMPTS if sample else ())
        return folder

    return saved


def ask(served, prompt: str, **more):
    message = {"role": "user", "content": prompt}
    return served.client.chat.completions.with_raw_response.create(**{"model": "auto", "messages": [message]} | more)


def expected_usd(served, **more) -> float:
    return mean(float(ask(served, prompt, **more).headers["x-waypost-usd"]) for prompt in PROMPTS)


def test_a_budget_is_kept_on_average_as_a_profile_in_the_body_and_as_a_header(serve, pool, router):
    top = f"router: {router()}\nprofiles: {{thrifty: {{budget: {BUDGET}}}}}"
    served = serve(pool(*NAMES, top=top))
    kept = expected_usd(served, model="auto:thrifty")
    assert 0.2 * BUDGET < kept <= BUDGET < expected_usd(served)
    assert expected_usd(served, extra_body={"waypost": {"budget": BUDGET}}) == kept
    assert expected_usd(served, extra_headers={"x-waypost-budget": str(BUDGET)}) == kept
    assert expected_usd(served, model="auto:thrifty", extra_body={"waypost": {"risk": 0.01}}) <= BUDGET


@pytest.mark.parametrize(
    "how", [{"extra_body": {"waypost": {"budget": 1e-9}}}, {"extra_headers": {"x-waypost-budget": "1e-9"}}]
)
def test_a_request_s_budget_that_cannot_be_kept_names_its_field(serve, pool, router, how):
    served = serve(pool(*NAMES, top=f"router: {router()}"))
    with pytest.raises(openai.BadRequestError, match="the cheapest choices cost") as told:
        ask(served, "Hi", **how)
    assert told.value.param == "waypost.budget"


def test_a_router_without_a_sample_cannot_keep_a_budget_and_says_so(serve, pool, router):
    served = serve(pool(*NAMES, top=f"router: {router(sample=False)}"))
    with pytest.raises(openai.BadRequestError, match="saved without; train it again") as told:
        ask(served, "Hi", extra_body={"waypost": {"budget": 1}})
    assert told.value.param == "waypost.budget"


def test_a_profile_s_budget_that_cannot_be_kept_stops_the_start(pool, router, tmp_path):
    config = tmp_path / "waypost.yaml"
    top = f"router: {router()}\nserver: {{port: 0}}\nprofiles:\n  thrifty:\n    budget: 1.0e-9"
    config.write_text(pool(*NAMES, top=top))
    with pytest.raises(BadConfig, match=r"yaml:8: profile 'thrifty': a budget of \$1e-09 .* too small"):
        Gateway(load(config, {"KEY": "x"}), lambda _: None)


def test_a_budget_is_solved_once_and_only_so_many_are_remembered():
    asked: list[Objective] = []

    def solve(objective: Objective) -> Objective:
        asked.append(objective)
        return replace(objective, budget=None, usd=1.0)

    budgets = Budgets(solve)
    budgets.keep({"default": Objective(), "thrifty": Objective(budget=1.0, flags={"local": 0.1})}, {})
    assert len(asked) == 1
    for _ in range(3):
        assert budgets.solved(Objective(budget=1.0, flags={"local": 0.1})).usd == 1.0
    assert len(asked) == 1
    for cents in range(1000):
        budgets.solved(Objective(budget=2.0 + cents))
    assert len(asked) == 1001
    assert len(budgets._latest) == 256
    budgets.solved(Objective(budget=1.0, flags={"local": 0.1}))
    assert len(asked) == 1001, "a profile is never forgotten"
    budgets.solved(Objective(budget=1.0, flags={"local": 0.1}, bias={"large": 0.1}))
    assert len(asked) == 1002, "a bias is another objective"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BadInput("too small"), BadRequest),
        (UnknownModel("larg", ["large"]), UnknownModel),
        (NoModelLeft("none is allowed"), NoModelLeft),
    ],
)
def test_what_is_wrong_with_a_request_keeps_its_kind(error, told):
    def solve(objective: Objective) -> Objective:
        raise error

    with pytest.raises(told):
        Budgets(solve).solved(Objective(budget=1.0))


def test_what_cannot_be_kept_is_tried_once_and_told_each_time():
    tried = []

    def never(objective):
        tried.append(objective)
        raise BadInput("the cheapest choices cost more")

    budgets = Budgets(never)
    for _ in range(3):
        with pytest.raises(BadRequest, match="cannot be kept: the cheapest choices cost more"):
            budgets.solved(Objective(budget=1e-9))
    assert len(tried) == 1
