"""The label router: a word for each prompt, and each word's own record of every model."""

from dataclasses import replace

import numpy as np
import pytest

from waypost.encoders import LanguageModel, StaticEncoder
from waypost.errors import BadInput
from waypost.outcomes import example_table
from waypost.routers import Label, load, save
from waypost.routers.fingerprint import fingerprint

MATHS = ("What is 17 plus 26?", "Multiply 4 by 9.", "Work out 12 minus 5.")


class Length:
    """A labeller of one's own: short or long."""

    name = "length"
    dim = 2

    def encode(self, texts):
        long_N = np.array([len(text) > 25 for text in texts]).reshape(-1, 1)
        return np.hstack([~long_N, long_N]).astype(np.float32)


def test_the_model_that_does_best_under_a_label_is_its_expert(smollm2):
    router = Label(prior=1.0, rows=30).fit(example_table(240))
    assert router.label(MATHS) == ["math"] * 3
    expected = router.predict(MATHS)
    assert [router.models[m] for m in expected.quality_NM.argmax(axis=1)] == ["maths-expert"] * 3


def test_means_are_those_of_the_label_and_lean_on_all():
    table = example_table(200)
    router = Label(labeller=Length(), balanced=False, prior=5.0).fit(table)
    long_N = np.array([len(prompt) > 25 for prompt in table.prompts])
    overall_M = table.quality_NM.mean(axis=0)
    for label, rows in enumerate((~long_N, long_N)):
        expected_M = (table.quality_NM[rows].sum(axis=0) + 5 * overall_M) / (rows.sum() + 5)
        assert router.means_LM[label] == pytest.approx(expected_M, abs=0.01)
    assert router.label(["Hi", "x" * 30]) == ["0", "1"]


def test_balanced_labels_are_relative_to_how_often_a_word_is_likely():
    class Partial:
        name, dim = "partial", 2

        def encode(self, texts):
            second_N = np.array([0.4 if "Fix" in text else 0.1 for text in texts])
            return np.sqrt(np.column_stack([1 - second_N, second_N])).astype(np.float32)

    table = example_table(200)
    asked = ["Fix it.", "Say hello."]
    assert Label(labeller=Partial(), balanced=False).fit(table).label(asked) == ["0", "0"]
    assert Label(labeller=Partial()).fit(table).label(asked) == ["1", "0"]


def test_words_and_examples_of_ones_own(smollm2):
    router = Label(
        question="Say what it is.", labels="math, code", shots="What is 3 times 8? => math\nWrite a loop. => code"
    )
    router.fit(example_table(20))
    assert isinstance(router._labeller(), LanguageModel)
    assert router.label(["What is 17 plus 26?", "Fix the bug in this function."]) == ["math", "code"]


def test_a_registered_labeller_is_saved_by_name(tmp_path):
    router = Label(labeller=StaticEncoder()).fit(example_table(60))
    save(router, tmp_path)
    again = load(tmp_path)
    assert isinstance(again.labeller, StaticEncoder)
    assert np.array_equal(again.predict(MATHS).quality_NM, router.predict(MATHS).quality_NM)


def test_a_labeller_that_its_name_does_not_bring_back_is_not_saved(smollm2, tmp_path):
    """Loaded, it would be the judge of difficulty, and label something else."""
    table = example_table(20)
    asking = LanguageModel("Say what it is.", ("math", "code"), ())
    router, judge = (Label(labeller=labeller, rows=5).fit(table) for labeller in (asking, LanguageModel()))
    assert fingerprint(router) != fingerprint(judge)
    with pytest.raises(BadInput, match=r"smollm2-[0-9a-f]{16}' \(LanguageModel\) cannot be saved"):
        save(router, tmp_path / "router")
    assert not (tmp_path / "router").exists()
    save(judge, tmp_path / "router")
    assert fingerprint(load(tmp_path / "router")) == fingerprint(judge)


def test_missing_cells_do_not_count():
    table = example_table(100)
    quality_NM = np.array(table.quality_NM)
    quality_NM[::2, 0] = np.nan
    holes = replace(table, quality_NM=quality_NM)
    full = replace(holes, quality_NM=np.nan_to_num(quality_NM))
    expected, pulled = (Label(labeller=Length()).fit(t).predict(MATHS).quality_NM[:, 0] for t in (holes, full))
    assert (expected > pulled + 0.05).all()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"prior": 0.0}, "prior must be above 0"),
        ({"rows": 0}, "rows must be above 0"),
        ({"shots": "a"}, "text => label"),
    ],
)
def test_settings_are_checked(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        Label(**settings)
