from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from waypost.outcomes.readers import Intake
from waypost.outcomes.readers._joined import joined
from waypost.types import Outcome

ROW = Outcome("a", "Hi", "chat", "small", 1.0, None, None)


def join(*rows, **options):
    intake = Intake()
    return list(joined([(Path("file"), iter(rows))], intake, **options)), intake


def test_files_of_one_model_each_are_joined_by_question():
    parts = [(Path(name), iter([replace(ROW, model=name)])) for name in ("x", "y")]
    assert [(row.id, row.model) for row in joined(parts, Intake())] == [("a", "x"), ("a", "y")]


def test_an_id_stands_for_one_prompt():
    found, intake = join(ROW, replace(ROW, prompt="Bye"), replace(ROW, prompt="Hi", model="large"))
    assert [(row.id, row.prompt) for row in found] == [("a", "Hi"), ("a#2", "Bye"), ("a", "Hi")]
    assert intake.notes == ["ids that stood for a second prompt and were numbered: 1 (a)"]


def test_a_numbered_id_never_meets_one_that_looks_like_it():
    found, _ = join(replace(ROW, id="a#2", prompt="other"), ROW, replace(ROW, prompt="Bye"))
    assert [row.id for row in found] == ["a#2", "a", "a#3"]


def test_many_prompts_of_one_id_take_a_time_in_proportion():
    rows = [replace(ROW, prompt=f"p{n}") for n in range(100_000)]
    found, _ = join(*rows, *rows)
    assert found[-1].id == "a#100000" and len(found) == len(rows)


def test_the_first_answer_of_a_model_counts_and_a_log_keeps_all():
    again = replace(ROW, quality=0.0)
    found, intake = join(ROW, again)
    assert [row.quality for row in found] == [1.0]
    assert "the same model has answered the same question before it" in intake.left
    assert len(join(ROW, again, distinct=False)[0]) == 2


def test_a_question_without_a_model_is_no_answer():
    found, intake = join(ROW, replace(ROW, model=""))
    assert len(found) == 1 and intake.answers == 2
    assert len(join(replace(ROW, model=""), distinct=False)[0]) == 1


def test_halves_of_characters_are_kept_out_of_files():
    found, intake = join(ROW, replace(ROW, prompt="\ud83d"), replace(ROW, id="b", answer="so \ud83d"))
    assert [(row.id, row.answer) for row in found] == [("a", ""), ("b", "so ?")]
    assert intake.left["its text holds half of a character"].answers == 1


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["Hi", "Bye"]), st.sampled_from("xy"))))
def test_every_answer_is_kept_or_counted_and_ids_are_unique(cells):
    found, intake = join(*(Outcome(id, prompt, "", model, 1.0, None, None) for id, prompt, model in cells))
    assert intake.answers == len(cells)
    assert len(found) + sum(left.answers for left in intake.left.values()) == len(cells)
    assert len({(row.id, row.model) for row in found}) == len(found)
    assert len({row.id for row in found}) == len({(row.id, row.prompt) for row in found}) == len({c[:2] for c in cells})
