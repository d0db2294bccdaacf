import json
import re
from dataclasses import replace

import numpy as np
import pytest

from waypost import routers
from waypost.outcomes import Outcomes, example_table, parquet

ROUTERS = ("cheapest", "best_single", "random", "knn", "ridge", "domain", "hierarchical")
FIELDS = {"router", "test", "n", "quality", "usd", "seconds", "best_single", "best_single_model", "oracle", "ci95",
          "gain", "gain_ci95", "vs_cheapest_ci95", "unpriced", "gap_closed", "missing", "share", "verdict",
          "best_single_usd", "best_single_in_training", "cheapest_model", "chance", "clusters", "complete", "gain_se",
          "zero_gain", "zero_gain_ci95", "p_beats", "p", "p_adjusted", "leaked", "by_part"}  # fmt: skip


@pytest.fixture
def dc(routerdc):
    return (
        "eval", "--format", "routerdc", "--resamples", "100",
        "--train", routerdc("a_train", 300), routerdc("b_train", 100, seed=1),
        "--test", routerdc("a_test", 80, seed=2), routerdc("b_test", 50, seed=3),
    )  # fmt: skip


def test_one_object_a_line_for_each_router_and_test_file(dc, rows):
    found = rows(*dc, "--router", ",".join(ROUTERS))
    assert [(row["test"], row["router"]) for row in found] == [(t, r) for t in ("a_test", "b_test") for r in ROUTERS]
    assert {frozenset(row) for row in found} == {frozenset(FIELDS)}
    assert {row["n"] for row in found} == {80, 50}


def test_a_row_says_how_good_and_against_what(dc, rows):
    for row in rows(*dc, "--router", "domain,best_single"):
        low, high = row["ci95"]
        assert 0 <= low <= row["quality"] <= high <= 1
        assert row["gain_ci95"][0] <= row["quality"] - row["best_single"] <= row["gain_ci95"][1]
        assert row["best_single"] <= row["oracle"]
        assert row["best_single_model"] == "large"
        assert (row["usd"], row["seconds"], row["best_single_usd"]) == (None, None, None)
        assert sum(row["share"].values()) == pytest.approx(1)


def test_the_same_command_gives_the_same_rows(dc, rows):
    assert rows(*dc, "--router", "random,ridge") == rows(*dc, "--router", "random,ridge")


def test_people_get_a_ranked_table_with_baselines_and_a_verdict(dc, waypost):
    out, err = waypost(*dc, "--router", "domain,random,cheapest")
    assert (
        "a_test: 80 questions, 58 of them different; best single model large; no zero router, as costs are unknown"
        in out
    )
    assert "mean of 2 test files" in out
    words = ("oracle", "chance", "tiny", "maths-expert", "best of each", "any model", "loses", "vs cheapest")
    assert [word for word in words if word not in out] == []
    assert out.index("oracle") < out.index("chance")
    assert "\nrandom loses against large (p < 0.010)\n" in out
    assert "fitting domain on 400 prompts × 3 models" in err
    assert "no costs" in err


def test_training_files_weigh_the_same(routerdc, rows):
    """Forty questions that only the small model answers outweigh four hundred where the large one is best."""
    large, small = routerdc("large_train", 400), routerdc("small_train", 40, scores=[1, 0, 0])
    words = ("--format", "routerdc", "--test", routerdc("t_test", 30, seed=5), "--router", "best_single")
    assert rows("eval", "--train", large, *words)[0]["share"]["large"] == 1
    assert rows("eval", "--train", large, small, *words)[0]["share"]["tiny"] == 1


def test_a_table_is_split_by_prompt(routerbench, rows):
    path = routerbench("own", 200)
    (row,) = rows("eval", path, "--format", "routerbench", "--router", "ridge")
    assert row["test"] == "own"
    assert 20 < row["n"] < 120
    assert row["usd"] > 0


def test_a_table_of_our_own_format_is_the_default(rows, tmp_path):
    parquet.write(tmp_path / "mine.parquet", example_table(150).rows())
    (row,) = rows("eval", tmp_path / "mine.parquet", "--router", "domain")
    assert (row["test"], row["best_single_model"]) == ("mine", "large")
    assert row["usd"] > 0
    assert row["seconds"] > 0


def test_the_objective_trades_quality_for_money(routerbench, rows):
    path = routerbench("own", 200)
    words = ("eval", path, "--format", "routerbench", "--router", "domain")
    dear, frugal = rows(*words)[0], rows(*words, "--objective", "usd=100000")[0]
    assert frugal["usd"] < dear["usd"]


def test_a_cascade_stands_beside_routers_at_the_cost_of_all_its_calls(routerbench, rows):
    path = routerbench("own", 250)
    found = rows("eval", path, "--format", "routerbench", "--router", "cheapest", "--strategy", "cascade")
    assert [row["router"] for row in found] == ["cheapest", "cascade"]
    cheapest, cascade = found
    assert cascade["quality"] > cheapest["quality"]
    assert cascade["usd"] > cheapest["usd"]
    assert cascade["share"]["tiny"] == 1
    assert 0 < sum(cascade["share"].values()) - 1 < 2


def test_without_names_every_router_and_the_cascade_are_measured(routerbench, rows):
    found = rows("eval", routerbench("own", 150), "--format", "routerbench", "--resamples", "50")
    assert [row["router"] for row in found] == [*ROUTERS, "cascade"]


def test_a_saved_router_and_a_saved_head_need_no_training_file(routerbench, rows, tmp_path):
    path = routerbench("own", 200)
    test = routerbench("t_test", 30, seed=1)
    for router in ("ridge", "cascade"):
        rows("train", path, "--format", "routerbench", "--router", router, "--out", tmp_path / router)
    found = rows(
        "eval", "--format", "routerbench", "--test", test,
        "--router", tmp_path / "ridge", "--strategy", tmp_path / "cascade",
    )  # fmt: skip
    assert [row["n"] for row in found] == [30, 30]


OWN = """
import numpy as np
from waypost import Prediction

class Always:
    def fit(self, outcomes):
        self.models = outcomes.models
    def predict(self, prompts):
        shape = (len(prompts), len(self.models))
        return Prediction(self.models, np.tile([1.0, 0.0, 0.0], (len(prompts), 1)), *np.zeros((3, *shape)))
"""


def test_a_class_of_the_users_own_is_measured(dc, rows, tmp_path, monkeypatch):
    (tmp_path / "my_router.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    found = rows(*dc, "--router", "my_router:Always")
    assert [row["share"]["tiny"] for row in found] == [1, 1]


MEMORY = """
from waypost.routers import KNN

class Memory(KNN):
    def __init__(self):
        super().__init__(k=1)
"""


@pytest.fixture
def leaking(tmp_path, monkeypatch):
    """A third of the test questions are in training too, and which model is right is noise that must be remembered."""
    (tmp_path / "my_memory.py").write_text(MEMORY)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    letters = rng.choice(list("abcdefghijklmnopqrstuvwxyz"), size=(600, 12, 7))
    rows = [
        {"question": " ".join(map("".join, words)), "scores": dict(zip(("tiny", "mid", "large"), right, strict=True))}
        for words, right in zip(letters, rng.integers(0, 2, (600, 3)).tolist(), strict=True)
    ]
    train, test = tmp_path / "a_train.json", tmp_path / "a_test.json"
    train.write_text(json.dumps(rows[:400]))
    test.write_text(json.dumps(rows[300:]))
    return ("eval", "--format", "routerdc", "--train", train, "--test", test, "--resamples", "200")


def test_the_verdict_is_on_the_questions_that_did_not_leak(leaking, rows):
    (row,) = rows(*leaking, "--router", "my_memory:Memory")
    assert (row["n"], row["leaked"], row["verdict"]) == (200, 100, "matches")
    assert row["by_part"]["all"]["verdict"] == row["by_part"]["leaked"]["verdict"] == "beats"
    assert (row["by_part"]["all"]["n"], row["by_part"]["leaked"]["n"]) == (300, 100)


def test_people_see_what_leaks_change(leaking, waypost):
    out, err = waypost(*leaking, "--router", "my_memory:Memory,best_single")
    assert "LEAK: 100 of the 300 questions of a_test" in err
    assert "a_test: 200 questions" in out
    assert "a_test: 100 of 300 questions are also in training; what is said above holds for the 200 others" in out
    assert re.search(r"\nmy_memory:Memory +\S+ matches +\S+ beats +\S+ beats +the verdict", out)


def test_when_every_question_leaked_there_is_no_verdict(routerdc, waypost):
    path = routerdc("a_train", 60)
    words = ("eval", "--format", "routerdc", "--train", path, "--test", path, "--router", "best_single")
    assert "too few questions of a_train are not in training" in waypost(*words, fails=True)[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--router", "rigde"), "no router 'rigde'; .* Did you mean 'ridge'"),
        (("--router", "cascade"), "it is a strategy: --strategy cascade"),
        (("--router", "safe_route"), "it is a strategy: --strategy safe_route"),
        (("--strategy", "casacde"), "no strategy 'casacde'; there are cascade and safe_route"),
        (("--router", "os.path:join"), "must be a class with fit and predict"),
        (("--router", "no_such_module:Router"), "cannot import 'no_such_module'"),
        (("--objective", "usd"), "'usd' must be written name=value"),
        (("--objective", "usdd=3"), "'usdd' is not an objective; .* Did you mean 'usd'"),
        (("--strategy", "cascade"), "no answers|keeps none"),
        (("--format", "routerd"), "no format 'routerd'"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(dc, waypost, words, sentence):
    out, err = waypost(*dc, *words, fails=True)
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("waypost: ")
    assert re.search(sentence, last), last
    assert "fitting" not in err or "keeps none" in sentence  # names are looked up before anything takes long


def test_the_ways_to_name_tables_do_not_mix(routerdc, waypost):
    path = routerdc("a_train")
    assert "--train without --test" in waypost("eval", "--train", path, "--format", "routerdc", fails=True)[1]
    words = ("eval", path, "--format", "routerdc", "--test", path)
    assert "give either the table" in waypost(*words, fails=True)[1]
    words = ("eval", "--format", "routerdc", "--test", path, "--router", "knn")
    assert "'knn' has to be fitted" in waypost(*words, fails=True)[1]
    words = ("eval", "--format", "routerdc", "--train", path, "--test", path, path)
    assert "test files must have different names" in waypost(*words, fails=True)[1]


@pytest.fixture
def own(tmp_path):
    """A table in a file, sorted by group as collected tables are."""
    table = example_table(400)
    rows = table.select(np.argsort(table.groups, kind="stable")).rows()
    parquet.write(tmp_path / "own.parquet", [replace(row, answer=f"{row.model} says so") for row in rows])
    return tmp_path / "own.parquet"


def test_a_line_is_set_against_the_cheapest_router_when_that_was_asked_for(own, rows):
    cheapest, domain = rows("eval", own, "--router", "cheapest,domain", "--resamples", "100")
    assert cheapest["vs_cheapest_ci95"] == [0, 0]
    low, high = domain["vs_cheapest_ci95"]
    assert 0 < low < domain["quality"] - cheapest["quality"] < high
    assert rows("eval", own, "--router", "domain", "--resamples", "50")[0]["vs_cheapest_ci95"] is None


def test_calls_of_unknown_cost_are_counted_and_make_the_mean_unknown(tmp_path, rows, waypost):
    table = example_table(300)
    usd = table.usd_NM.copy()
    usd[::2, 2] = np.nan
    mine = Outcomes(table.ids, table.prompts, table.groups, table.models, table.quality_NM, usd)
    parquet.write(tmp_path / "mine.parquet", mine.rows())
    words = ("eval", tmp_path / "mine.parquet", "--router", "best_single", "--resamples", "50")
    (row,) = rows(*words)
    assert (row["share"]["large"], row["usd"], row["best_single_usd"]) == (1, None, None)
    assert 0 < row["unpriced"] < row["n"]
    assert f"{row['unpriced']} of unknown cost" in waypost(*words)[0]


def test_a_budget_is_kept_by_every_router_and_the_cascade(own, rows):
    words = ("eval", own, "--router", "domain,ridge", "--strategy", "cascade", "--resamples", "50")
    dear, frugal = rows(*words), rows(*words, "--objective", "budget=0.00008")
    for before, after in zip(dear[:2], frugal[:2], strict=True):
        assert before["usd"] > 0.0001
        assert 0.00004 < after["usd"] < 0.0001  # nearly all of it, and a little more or less on other prompts
        assert after["quality"] > after["best_single"] - 0.2
    assert frugal[2]["usd"] < dear[2]["usd"]


def test_a_budget_of_a_saved_router_is_solved_on_its_sample(own, rows, waypost, tmp_path):
    rows("train", own, "--router", "domain", "--out", tmp_path / "saved")
    test = ("--test", own, "--resamples", "50", "--objective", "budget=0.00008")
    (row,) = rows("eval", *test, "--router", tmp_path / "saved")
    assert 0.00004 < row["usd"] < 0.0001
    routers.save(routers.make("domain").fit(example_table(300)), tmp_path / "bare")
    _, err = waypost("eval", *test, "--router", tmp_path / "bare", fails=True)
    assert "was saved without; train it again" in err


def test_a_budget_that_cannot_be_kept_is_said(own, waypost):
    _, err = waypost("eval", own, "--router", "domain", "--objective", "budget=1e-9", fails=True)
    assert "a budget of $1e-09 per query is too small" in err


CARDS = """
models:
  - {name: tiny, kind: openai, base_url: "http://127.0.0.1:9/v1", local: true}
  - {name: maths-expert, kind: openai, base_url: "http://127.0.0.1:9/v1"}
  - {name: large, kind: openai, base_url: "http://127.0.0.1:9/v1"}
"""


def test_flags_weigh_the_cards_of_a_config(own, rows, tmp_path):
    (tmp_path / "cards.yaml").write_text(CARDS)
    words = ("eval", own, "--router", "domain", "--resamples", "50", "--config", tmp_path / "cards.yaml")
    assert rows(*words)[0]["share"]["tiny"] < 0.5
    assert rows(*words, "--objective", "local=5")[0]["share"]["tiny"] == 1


def test_flags_without_anything_to_weigh_are_refused(own, waypost, tmp_path):
    words = ("eval", own, "--router", "domain", "--objective", "local=5")
    assert "of 'large' none are known; name a config" in waypost(*words, fails=True)[1]
    (tmp_path / "cards.yaml").write_text(CARDS.replace("maths-expert", "other"))
    _, err = waypost(*words, "--config", tmp_path / "cards.yaml", fails=True)
    assert "of 'maths-expert' none are known" in err


def test_flags_weigh_the_embedded_pool_on_the_shipped_table(rows):
    words = ("eval", "--router", "best_single", "--resamples", "50", "--objective")
    assert rows(*words, "smaller=5")[0]["share"] != rows(*words, "usd=0")[0]["share"]


@pytest.mark.parametrize("allowed", ['usd=1,allowed=["tiny","maths-expert"]', "allowed=tiny|maths-expert"])
def test_allowed_models_are_a_list_of_json_or_of_words(own, rows, allowed):
    (row,) = rows("eval", own, "--router", "domain", "--resamples", "50", "--objective", allowed)
    assert row["share"]["large"] == 0
    assert row["share"]["tiny"] > 0 and row["share"]["maths-expert"] > 0


def test_an_allowed_model_that_is_in_no_table_is_named_before_any_work(own, waypost):
    _, err = waypost("eval", own, "--objective", "allowed=tinny|large", fails=True)
    assert err == ("waypost: no model 'tinny' in the pool; it has large, maths-expert, tiny. Did you mean 'tiny'?\n")


MISTAKEN = """
class Needs:
    def __init__(self, k, alpha=1, *rest, **more): ...
    def fit(self, outcomes): ...
    def predict(self, prompts): ...
"""


def test_mistakes_in_a_class_of_the_users_own_are_one_line(own, waypost, tmp_path, monkeypatch):
    (tmp_path / "my_broken.py").write_text("def x(:")
    (tmp_path / "my_mistaken.py").write_text(MISTAKEN)
    monkeypatch.chdir(tmp_path)
    for spec, sentence in (
        ("my_broken:Router", "cannot import 'my_broken' for --router my_broken:Router: invalid syntax (my_broken.py"),
        ("my_mistaken:Needs", "is made without arguments; give k a default in its __init__"),
        (":Needs", "must be written package.module:Class"),
    ):
        _, err = waypost("eval", own, "--router", spec, fails=True)
        assert sentence in err
        assert err.count("\n") == 1


THREADS = """
from threadpoolctl import threadpool_info
from waypost.routers import BestSingle

class Counting(BestSingle):
    seen = []
    def fit(self, outcomes):
        import sklearn.linear_model
        self.count()
        return super().fit(outcomes)
    def predict(self, prompts):
        self.count()
        return super().predict(prompts)
    def count(self):
        self.seen.append({found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"})
"""


def test_routers_multiply_matrices_on_one_thread(own, rows, tmp_path, monkeypatch):
    (tmp_path / "my_counting.py").write_text(THREADS)
    monkeypatch.chdir(tmp_path)
    rows("eval", own, "--router", "my_counting:Counting", "--resamples", "50")
    import my_counting

    assert my_counting.Counting.seen == [{1}, {1}]


def test_the_table_for_people_fits_120_columns(waypost, monkeypatch):
    """The README shows the one of the shipped table."""
    monkeypatch.setenv("COLUMNS", "120")
    out, _ = waypost("eval", "--resamples", "50")
    lines = out.rstrip().splitlines()
    assert max(map(len, map(str.rstrip, lines))) <= 120
    # A title, a head, a line for each router, model and bound, and a sentence for each router: nothing is folded.
    assert len(lines) == 2 + 1 + (8 + 3 + 3) + 1 + 8


def test_a_line_that_paid_more_than_the_budget_is_named(waypost):
    """The exact experts of the shipped table decline often, and the next call comes on top."""
    words = ("eval", "--router", "best_single,domain", "--resamples", "50", "--objective")
    assert "domain paid $" in waypost(*words, "budget=0.000003")[1]
    assert "over the budget" not in waypost(*words, "budget=1")[1]
