"""``waypost eval --conversations``: what follows each other is charged so, for routers and baselines alike."""

import json
import sys

import numpy as np
import pytest

from waypost.outcomes import Outcomes, parquet
from waypost.types import ModelCard, Outcome

TALKS, TURNS, MESSAGE, ANSWER = 40, 6, 2000, 100
PRICES = {"large": 2.0, "small": 1.8}  # USD a million tokens in; a tenth of it when cached, four times out
CONFIG = "models:\n" + "".join(
    f"  - {{name: {name}, kind: openai, base_url: 'http://127.0.0.1:9/v1',"
    f" usd_per_mtok_in: {usd}, usd_per_mtok_cached: {usd / 10}, usd_per_mtok_out: {4 * usd}}}\n"
    for name, usd in PRICES.items()
)
MINE = """
import numpy as np
from waypost import Prediction

class Turns:
    def fit(self, outcomes):
        self.models = outcomes.models
    def predict(self, prompts):
        small = np.array([int(prompt[-1]) % 2 for prompt in prompts])
        return Prediction(self.models, np.eye(2)[small], *np.zeros((3, len(prompts), 2)))
"""


def table(sources=True, turns=TURNS):
    rows = [
        Outcome(f"{talk}-{turn}", f"{word(talk)} turn {turn}", "", name, float(name == "large" or turn % 2),
                ModelCard("", usd, 4 * usd).usd(MESSAGE, ANSWER), 1.0, MESSAGE, ANSWER,
                source=f"talk {talk}" if sources else "")
        for talk in range(TALKS) for turn in range(turns) for name, usd in PRICES.items()
    ]  # fmt: skip
    return Outcomes.from_rows(rows)


def word(talk):
    rng = np.random.default_rng(talk)
    return " ".join("".join(rng.choice(list("abcdefghijklmnop"), 6)) for _ in range(6))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A table of conversations, prices and a class of the user's own, in the folder where the command runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_turns", raising=False)
    (tmp_path / "my_turns.py").write_text(MINE)
    (tmp_path / "waypost.yaml").write_text(CONFIG)
    parquet.write(tmp_path / "talks.parquet", table().rows())
    words = ("--router", "my_turns:Turns", "--config", "waypost.yaml", "--resamples", "100")
    return ("eval", "talks.parquet", *words)


def told(models):
    """USD of a turn in the mean: what a model has not read is new to it, and the history is the same for all."""
    history, seen, usd = 0, dict.fromkeys(PRICES, 0), 0.0
    for name in models:
        prompt = history + MESSAGE
        usd += PRICES[name] * (seen[name] / 10 + prompt - seen[name] + 4 * ANSWER) / 1e6
        seen[name], history = prompt, prompt + ANSWER
    return usd / len(models)


def test_a_router_that_switches_each_turn_loses_its_apparent_saving(here, rows):
    (plain,) = rows(*here)
    (honest,) = rows(*here, "--conversations")
    assert plain["usd"] < plain["best_single_usd"], "by the price of each message alone it saves"
    assert honest["usd"] > honest["best_single_usd"], "but each model reads what the other was told"
    assert honest["usd"] == pytest.approx(told(["large", "small"] * 3))
    assert honest["best_single_usd"] == pytest.approx(told(["large"] * 6))
    assert (honest["quality"], honest["gain"]) == (plain["quality"], plain["gain"])


def test_baselines_are_charged_as_routers_are_and_chance_has_no_cost(here, waypost):
    out, _ = waypost(*here, "--conversations")
    cells = {words[0]: words for line in out.splitlines() if len(words := line.split()) > 5}
    for name in PRICES:
        assert f"{1000 * told([name] * TURNS):.3g}" in cells[name]
    assert f"{1000 * told(['large', 'small'] * 3):.3g}" in cells["oracle"], "it takes the cheaper of the equally good"
    assert f"{1000 * told(['large'] * TURNS):.3g}" in cells["zero"]
    assert cells["chance"][5:7] == ["–", "–"], "neither a gain over the zero router nor a cost"


def test_an_experiments_rows_with_and_without_are_different_runs(here, rows, tmp_path):
    out = ("--out", "rows.jsonl", "--splits", "2")
    (plain,), (honest,) = rows(*here, *out), rows(*here, *out, "--conversations")
    assert honest["usd"] == pytest.approx(told(["large", "small"] * 3)) and honest["usd"] != plain["usd"]
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert rows(*here, *out, "--conversations") == [honest]
    assert (tmp_path / "rows.jsonl").read_text().splitlines() == lines
    assert {json.loads(line)["objective"].get("conversations") for line in lines} == {None, True}


def test_a_conversation_of_which_a_turn_was_trained_on_is_left_out_as_a_whole(here, rows, tmp_path):
    whole = table()
    part = np.arange(len(whole)) // TURNS < 20
    parquet.write(tmp_path / "test.parquet", whole.select(~part).rows())
    leaky = part | (np.arange(len(whole)) == 20 * TURNS + 3)
    parquet.write(tmp_path / "train.parquet", whole.select(leaky).rows())
    words = ("--train", "train.parquet", "--test", "test.parquet", "--conversations")
    (row,) = rows("eval", *here[2:], *words, "--out", "rows.jsonl")
    assert (row["n"], row["leaked"]) == (19 * TURNS, TURNS)
    assert row["usd"] == pytest.approx(told(["large", "small"] * 3))


@pytest.mark.parametrize("changed", [{"sources": False}, {"turns": 1}])
def test_a_table_without_conversations_is_refused(here, waypost, tmp_path, changed):
    parquet.write(tmp_path / "talks.parquet", table(**changed).rows())
    _, err = waypost(*here, "--conversations", fails=True)
    assert "no two questions of talks share a source" in " ".join(err.split())


def test_prices_are_the_configs_or_the_lists_and_without_any_it_is_refused(here, waypost, rows, tmp_path):
    plain = [word for word in here if word not in ("--config", "waypost.yaml")]
    _, err = waypost(*plain, "--conversations", fails=True)
    assert "no price is known of large, small" in " ".join(err.split())
    half = "".join(f"{line}\n" for line in CONFIG.splitlines() if "name: small" not in line)
    (tmp_path / "waypost.yaml").write_text(half)
    (row,) = rows(*here, "--conversations")
    assert row["usd"] is None and row["best_single_usd"] == pytest.approx(told(["large"] * 6))
    listed = half.replace(", usd_per_mtok_in: 2.0, usd_per_mtok_cached: 0.2, usd_per_mtok_out: 8.0", "")
    (tmp_path / "waypost.yaml").write_text(
        listed.replace("kind: openai,", "kind: openai, upstream: claude-sonnet-4-5,")
    )
    (row,) = rows(*here, "--conversations")
    assert row["best_single_usd"] > 0
