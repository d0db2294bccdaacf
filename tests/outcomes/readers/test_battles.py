import numpy as np
import pytest

from waypost.errors import BadTable
from waypost.outcomes.readers import read


def battle(winner, a="x", b="y", **more):
    return {"prompt": "Hi", "model_a": a, "model_b": b, "winner": winner, **more}


def test_quality_is_who_was_preferred_and_others_are_missing(written):
    said = []
    rows = [battle("model_a"), battle("model_b", b="z"), battle("tie"), battle("tie (bothbad)", a="z")]
    (table,) = read("battles", [written("arena.csv", rows)], said.append)
    nan = np.nan
    np.testing.assert_array_equal(
        table.only("xyz").quality_NM, [[1, 0, nan], [0, nan, 1], [0.5, 0.5, nan], [nan, 0.5, 0.5]]
    )
    assert "preference within a pair" in said[0]


def test_flags_of_the_winner_are_read_too(written):
    row = {
        "id": 1, "prompt": '["Hi", "And then?"]', "model_a": "x", "model_b": "y",
        "winner_model_a": 0, "winner_model_b": 1, "winner_tie": 0, "response_a": '["no"]', "response_b": '["yes"]',
    }  # fmt: skip
    (table,) = read("battles", [written("arena.jsonl", [row])])
    assert table.quality_NM.tolist() == [[0, 1]]
    assert (table.prompts, table.answer(0, "y").text) == (("Hi\nAnd then?",), "yes")


def test_battles_without_an_end_are_left_out_and_counted(written):
    said = []
    rows = [battle("model_a")] * 5 + [battle("nobody"), battle("tie", b="x")]
    read("battles", [written("arena.jsonl", rows)], said.append)
    assert any("2 of 14 answers because nobody won" in sentence for sentence in said)
    assert any("2 of 14 answers because a model met itself" in sentence for sentence in said)


def test_a_battle_without_a_model_is_refused(written):
    with pytest.raises(BadTable, match=r"arena.jsonl:1: needs a text 'model_b'"):
        read("battles", [written("arena.jsonl", [{"prompt": "Hi", "model_a": "x", "winner": "tie"}])])
