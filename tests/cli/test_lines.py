import re

import numpy as np
import pytest

from waypost.cli import lines
from waypost.evaluation import Earned, compare
from waypost.evaluation.baselines import chosen, single
from waypost.evaluation.parts import compare_parts, parts
from waypost.outcomes import Outcomes, example_table

NAN = np.nan


@pytest.fixture(scope="module")
def table():
    return example_table(500)


@pytest.fixture(scope="module")
def found(table):
    by_group = {"maths": 1, "chat": 0, "code": 2}
    asked = {
        "good": chosen(table, np.array([by_group[group] for group in table.groups])),
        "bad": single(table, "tiny"),
        "large": single(table, "large"),
    }
    return compare(table, asked, resamples=400)


def test_each_router_has_a_sentence_with_its_verdict_cost_and_probability(found):
    good, large, bad = lines.sentences(found)
    cost = found.line("good").usd / found.line("large", "model").usd
    assert good == f"good beats large at {cost:.0%} of its cost (p > 0.997); above the zero router"
    assert large == "large matches large at 100% of its cost (p 0.500); no better than the zero router"
    assert bad == "bad loses against large at 0% of its cost (p < 0.003); no better than the zero router"


def test_the_ranking_is_by_quality_and_says_which_line_is_what(found):
    ranked = lines.people(found)
    qualities = [float(row["quality %"]) for row in ranked]
    assert qualities == sorted(qualities, reverse=True)
    assert {(row[""], row["verdict"]) for row in ranked} == {
        ("good", "beats"), ("large", "matches"), ("bad", "loses"), ("large", "best"), ("maths-expert", ""),
        ("tiny", "cheapest"), ("oracle", "best of each"), ("chance", "any model"), ("zero", "mix, as good"),
    }  # fmt: skip


def test_what_is_missing_stands_beside_the_number():
    quality = np.array([[1, 0.0], [NAN, 1], [1, 0], [1, 1]])
    usd = np.array([[1, 2.0], [1, 2], [NAN, 2], [1, 2]])
    names = tuple("abcd")
    holes = Outcomes(names, names, ("g",) * 4, ("x", "y"), quality, usd)
    found = compare(holes, {"it": single(holes, "x")}, resamples=50)
    (said,) = lines.sentences(found)
    assert said.endswith("1 not measured; 1 of unknown cost")
    assert "of its cost" not in said and "zero router" not in said
    assert "4 questions, 3 with every model" in lines.title("t", found)
    (row,) = [row for row in lines.people(found) if row[""] == "it"]
    assert (row["$ / 1,000"], row["vs zero"], row["verdict"]) == (
        None,
        "–",
        "matches; 1 not measured; 1 of unknown cost",
    )


def test_a_router_that_was_never_measured_is_no_number(table):
    nothing = np.full(500, NAN)
    never = Earned(table.models, nothing, nothing, nothing, np.zeros((500, 3)))
    found = compare(table, {"it": never}, resamples=50)
    assert list(lines.sentences(found)) == ["it was not measured: the table has none of the answers that it chose"]
    assert lines.people(found)[-1] | {"seconds": None} == {
        "": "it", "quality %": None, "vs best single": "–", "vs zero": "–", "$ / 1,000": None, "seconds": None,
        "verdict": "not measured",
    }  # fmt: skip


def test_leaks_that_change_a_verdict_or_a_place_are_said(table):
    leaked = np.arange(500) < 250
    remembered = np.where(leaked, table.quality_NM.argmax(axis=1), 2)
    asked = {"memory": chosen(table, remembered), "large": single(table, "large")}
    masks = parts(table, leaked)
    memory, large = lines.by_part(compare_parts(table, asked, masks, resamples=200))
    assert memory["with leaks changes"] == "the verdict"
    assert large["with leaks changes"] == "nothing"
    assert re.fullmatch(r"\+0.00 matches", memory["clean"])
    assert memory["leaked"].endswith("beats")


@pytest.mark.parametrize(("p", "said"), [(0.9991, "p > 0.999"), (0.999, "p 0.999"), (0.0009, "p < 0.001")])
def test_a_probability_is_no_closer_to_certain_than_it_is_written(p, said):
    assert lines.probability(p, resamples=2000) == said
