"""What a command measures on: nothing that was seen in training, unless it is said."""

import json

import pytest

from waypost.cli import measured
from waypost.errors import BadInput
from waypost.outcomes import Outcomes, parquet
from waypost.types import Outcome

QUESTIONS = [
    "Which planet is the largest?", "Who wrote the poem about the raven?", "Name a metal that is liquid.",
    "How many legs has a spider?", "What do bees make from nectar?", "Which gas do plants take in?",
]  # fmt: skip


def write(path, questions):
    content = [{"question": question, "scores": {"small": 0.0, "large": 1.0}} for question in questions]
    path.write_text(json.dumps(content))
    return str(path)


@pytest.fixture
def leaky(tmp_path):
    """A training file, and a test file of which one question is there exactly, one nearly and two not."""
    train = write(tmp_path / "train.json", QUESTIONS[:4])
    asked = [QUESTIONS[0].upper(), "Who wrote teh poem about the raven", *QUESTIONS[4:]]
    return train, write(tmp_path / "test.json", asked)


def test_leaked_questions_are_kept_and_named(leaky, capsys):
    train, test = leaky
    data = measured.read(None, "routerdc", [train], [test], seed=0)
    assert len(data.tests["test"]) == 4
    assert data.leaks["test"].leaked_N.tolist() == [True, True, False, False]
    said = capsys.readouterr().err
    assert "LEAK: 2 of the 4 questions of test (50%) are also in training, 1 exactly and 1 nearly" in said
    assert "test:     Who wrote teh poem about the raven" in said
    assert "training: Who wrote the poem about the raven?" in said


def test_leaked_questions_can_be_left_out(leaky, capsys):
    train, test = leaky
    data = measured.read(None, "routerdc", [train], [test], seed=0, leaks="drop")
    assert data.tests["test"].prompts == (*QUESTIONS[4:],)
    assert len(data.leaks["test"]) == 0
    assert "LEAK: 2 of the 4" in capsys.readouterr().err


def test_a_test_file_that_is_all_training_is_refused_when_leaks_are_left_out(leaky):
    train, _ = leaky
    with pytest.raises(BadInput, match="every question of train is also in training"):
        measured.read(None, "routerdc", [train], [train], seed=0, leaks="drop")


def test_without_a_training_file_nothing_is_known_of_leaks(leaky, capsys):
    data = measured.read(None, "routerdc", [], [leaky[1]], seed=0)
    assert data.train is None and data.leaks == {}
    assert "LEAK" not in capsys.readouterr().err


def test_a_clean_test_file_is_not_warned_of(tmp_path, capsys):
    train, test = write(tmp_path / "train.json", QUESTIONS[:3]), write(tmp_path / "test.json", QUESTIONS[3:])
    data = measured.read(None, "routerdc", [train], [test], seed=0)
    assert len(data.leaks["test"]) == 0 and "LEAK" not in capsys.readouterr().err


def test_a_table_is_split_with_duplicates_and_sources_on_one_side(tmp_path):
    topics = ["rivers", "planets", "poems", "metals", "spiders", "plants", "castles", "bridges", "engines", "birds"]
    asked = [(f"Please tell me about {topic} of the {age} age", f"{topic}-{age}") for topic in topics
             for age in ("stone", "bronze", "golden")]  # fmt: skip
    prompts = [(form.format(text), source) for text, source in asked for form in ("{}", "{}!", "  {}?", "So: {}")]
    rows = [
        Outcome(str(n), prompt, "", model, 1.0, None, None, source=source if prompt.startswith("So") else "")
        for n, (prompt, source) in enumerate(prompts)
        for model in ("small", "large")
    ]
    rows += [Outcome(f"lead-{n}", f"{source}?!", "", "small", 1.0, None, None, source=source)
             for n, (_, source) in enumerate(asked)]  # fmt: skip
    parquet.write(tmp_path / "table.parquet", Outcomes.from_rows(rows))
    for seed in range(3):
        data = measured.read(tmp_path / "table.parquet", "waypost", [], [], seed)
        train, test = data.train, data.tests["table"]
        known = {prompt.strip(" ?!") for prompt in train.prompts if not prompt.startswith("So")}
        assert not known & {prompt.strip(" ?!") for prompt in test.prompts}
        assert not {*train.sources} & {*test.sources} - {""}
        assert len(data.leaks["table"]) == 0
