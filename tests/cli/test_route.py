import pytest
from threadpoolctl import threadpool_info

from waypost import routers
from waypost.outcomes import example_table

CONFIG = """
models:
  - {name: tiny, kind: openai, base_url: "http://127.0.0.1:9/v1", usd_per_mtok_in: 1, usd_per_mtok_out: 1}
  - {name: large, kind: openai, base_url: "http://127.0.0.1:9/v1", context: 4, usd_per_mtok_in: 9, usd_per_mtok_out: 9}
"""


@pytest.fixture
def saved(tmp_path):
    routers.save(routers.make("domain").fit(example_table(300)), tmp_path / "router")
    return tmp_path / "router"


def test_a_decision_says_what_was_expected_of_each_model(saved, rows):
    (decision,) = rows("route", "What is 17 plus 26?", "--router", saved)
    assert (decision["model"], decision["router"]) == ("maths-expert", "domain")
    assert decision["why"].startswith("maths-expert: expected quality")
    first = decision["models"][0]
    assert first["model"] == "maths-expert"
    assert set(first) == {"model", "quality", "spread", "usd", "seconds", "score", "removed"}
    scores = [model["score"] for model in decision["models"]]
    assert scores == sorted(scores, reverse=True)


def test_the_objective_changes_the_choice(saved, rows):
    words = ("route", "Tell me about the town of Elm.", "--router", saved)
    assert rows(*words)[0]["model"] == "large"
    frugal = rows(*words, "--objective", "usd=1000,risk=0.1")[0]
    assert frugal["model"] == "tiny"
    assert frugal["weights"] == {"quality": 1.0, "usd": 1000.0, "risk": 0.1}


def test_people_get_a_table_and_the_reason(saved, waypost):
    out, _ = waypost("route", "What is 17 plus 26?", "--router", saved)
    lines = out.splitlines()
    assert lines[0].split() == ["model", "quality", "spread", "usd", "seconds", "score", "removed"]
    assert lines[1].startswith("maths-expert")
    assert lines[-1].startswith("maths-expert: expected quality")


def test_a_config_says_which_models_there_are_and_what_removes_them(saved, rows, tmp_path):
    config = tmp_path / "waypost.yaml"
    config.write_text(CONFIG)
    prompt = "Tell me about the town of Elm and its river."
    (decision,) = rows("route", prompt, "--router", saved, "--config", config)
    removed = {model["model"]: model["removed"] for model in decision["models"]}
    assert decision["model"] == "tiny"
    assert removed["tiny"] is None
    assert removed["maths-expert"] == "not in the pool"
    assert "do not fit its context of 4" in removed["large"]


def test_the_router_and_the_weights_of_a_config_are_used(saved, rows, tmp_path):
    config = tmp_path / "waypost.yaml"
    config.write_text(CONFIG + f"router: {saved}\nprofiles:\n  default: {{usd: 1000}}\n")
    (decision,) = rows("route", "Say hello to Elm for me.", "--config", config)
    assert (decision["model"], decision["weights"]["usd"]) == ("tiny", 1000)


def test_a_config_without_a_fitting_router_takes_the_cheapest(rows, tmp_path):
    config = tmp_path / "waypost.yaml"
    config.write_text(CONFIG)
    (decision,) = rows("route", "Hi", "--config", config)
    assert (decision["model"], decision["router"]) == ("tiny", "cheapest")


def test_the_head_of_a_cascade_explains_whom_it_asks_first(routerbench, rows, tmp_path):
    rows("train", routerbench("own", 150), "--format", "routerbench", "--router", "cascade", "--out", tmp_path / "head")
    (decision,) = rows("route", "What is 17 plus 26?", "--router", tmp_path / "head")
    assert (decision["model"], decision["router"]) == ("tiny", "cascade")
    assert "first, the cheapest of 3" in decision["why"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("Hi", "--router", "nowhere"), "no saved router in nowhere"),
        (("Hi", "--config", "nowhere.yaml"), "cannot read the config nowhere.yaml"),
        (("  ", "--router", "SAVED"), "no text to route on"),
        (("Hi", "--router", "SAVED", "--objective", "usd=-1"), "'usd' must be a number from zero"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(saved, waypost, words, sentence):
    _, err = waypost("route", *(str(saved) if word == "SAVED" else word for word in words), fails=True)
    assert sentence in err
    assert err.count("\n") == 1


def test_a_budget_is_solved_on_the_sample_that_was_saved_with_the_router(rows, waypost, saved, tmp_path):
    table = example_table(300)
    routers.save(routers.make("domain").fit(table), tmp_path / "sampled", sample=table.prompts)
    words = ("route", "Tell me about the town of Elm.", "--router", tmp_path / "sampled", "--objective")
    assert rows(*words, "budget=1")[0]["weights"] == {"quality": 1.0}
    (decision,) = rows(*words, "budget=0.00001")
    assert decision["model"] == "tiny"
    assert decision["weights"]["usd"] > 100
    _, err = waypost("route", "Hi", "--router", saved, "--objective", "budget=1", fails=True)
    assert "was saved without; train it again" in err


def test_a_budget_of_a_profile_counts_too(rows, tmp_path):
    table = example_table(300)
    routers.save(routers.make("domain").fit(table), tmp_path / "sampled", sample=table.prompts)
    (tmp_path / "waypost.yaml").write_text(
        CONFIG.replace(", context: 4", "") + "router: sampled\nprofiles:\n  default: {budget: 0.00001}\n"
    )
    words = ("route", "Tell me about the town of Elm.", "--config", tmp_path / "waypost.yaml")
    (decision,) = rows(*words)
    assert decision["weights"]["usd"] > 100
    assert rows(*words, "--objective", "budget=1")[0]["weights"] == {"quality": 1.0}


def test_bytes_that_are_no_text_are_routed_like_any_other_prompt(rows, tmp_path):
    routers.save(routers.make("random").fit(example_table(60)), tmp_path / "random")
    (decision,) = rows("route", "\udcff", "--router", tmp_path / "random")
    assert decision["model"] in example_table(60).models


def test_a_decision_is_made_on_one_thread(rows, saved, monkeypatch):
    seen = []

    def watched(name):
        method = getattr(routers.Domain, name)

        def watching(self, prompts):
            seen.append({found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"})
            return method(self, prompts)

        monkeypatch.setattr(routers.Domain, name, watching)

    watched("predict")
    watched("expect")
    rows("route", "Hi", "--router", saved)
    assert seen == [{1}, {1}]
