"""Fit a router and explain its choice under three trade-offs, without a server.

The outcomes are made up; put your own table in with waypost.outcomes.parquet.read("outcomes.parquet").
"""

from waypost import ModelCard, Query, routers
from waypost.objective import Objective
from waypost.outcomes import example_table

TRADE_OFFS = {
    "the best answer": Objective(),
    "a cent is worth 0.4 points": Objective(usd=40),
    "money matters most": Objective(usd=5000),
}

router = routers.make("ridge").fit(example_table(500))
cards = {name: ModelCard(name) for name in router.models}

for prompt in ("What is 17 plus 26?", "Write a Python function called garden."):
    prediction = router.predict([prompt])
    print(f"\n{prompt}")
    for name, objective in TRADE_OFFS.items():
        decision = objective.choose(prediction, cards, Query.of(prompt), "ridge")
        print(f"  {name:<28} {decision.why}")
