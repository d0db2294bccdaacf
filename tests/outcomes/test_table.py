"""The outcomes table refuses what cannot be true and keeps what is missing missing."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadTable, UnknownModel
from waypost.outcomes import Outcomes, example_table
from waypost.types import Outcome


def table(quality, usd=None, models=("a", "b")):
    quality = np.array(quality, dtype=float)
    usd = np.full(quality.shape, 0.1) if usd is None else np.array(usd, dtype=float)
    n = range(len(quality))
    return Outcomes(
        tuple(f"q{i}" for i in n), tuple(f"prompt {i}" for i in n), ("",) * len(quality), models, quality, usd
    )


def changed(**parts):
    return replace(example_table(60), **parts)


def rarely_asked(**parts):
    """A table whose first model has scores in the first two rows only."""
    quality = example_table(60).quality_NM.copy()
    quality[2:, 0] = np.nan
    return changed(quality_NM=quality, **parts)


@pytest.mark.parametrize(("make", "said"), [
    (lambda: table([[np.nan, np.nan]]), "no row has a score"),
    (lambda: table([[1, np.nan]]), "model 'b' has no score in any of the 1 rows"),
    (lambda: table([[1]], models=("a",)), "1 model .a.; a choice needs at least 2"),
    (lambda: table([[0, 1], [0, 1]], [[0, 1], [0, -2]]), r"row 1 .id 'q1'., model 'b': cost in USD is -2"),
    (lambda: table([[0, 1], [3, 1]]), "row 1 .id 'q1'., model 'a': quality is 3"),
    (lambda: table([[0, 1]], [[np.inf, 0]]), "finite"),
    (lambda: table([[0, 1]], models=("a", "a")), "must differ"),
    (lambda: table([[0, 1]], [[0, 1, 2]]), "shape"),
    (lambda: changed(ids=("x",)), "ids has 1 entries, expected 60"),
    (lambda: changed(groups=("x",) * 61), "groups has 61 entries, expected 60"),
    (lambda: changed(weight_N=np.ones(3)), r"weight_N has shape \(3,\), expected \(60,\)"),
    (lambda: changed(weight_N=-np.ones(60)), "row 0 .id 'example-0'.: weight is -1.0, it must be zero or more"),
    (lambda: changed(weight_N=np.full(60, np.nan)), "weight is nan"),
    (lambda: changed(weight_N=np.full(60, np.inf)), "weight is inf"),
    (lambda: changed(weight_N=np.zeros(60)), "every row has weight zero"),
    (lambda: rarely_asked(weight_N=np.arange(60) > 1), "model 'tiny' has scores in rows of weight zero only"),
    (lambda: Outcomes((), (), (), ("a", "b"), np.empty((0, 2)), np.empty((0, 2))), "no rows"),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place(make, said):
    with pytest.raises(BadTable, match=said):
        make()


@pytest.mark.parametrize("column", ["quality", "usd", "seconds"])
def test_nan_in_a_row_is_refused_with_the_row(column):
    good = Outcome("x", "Hi", "", "a", 1.0, 0.1, 0.1)
    bad = Outcome("x", "Hi", "", "b", **{"quality": 1.0, "usd": 0.1, "seconds": 0.1, column: float("nan")})
    with pytest.raises(BadTable, match=f"row 1 .id 'x', model 'b'.: {column} is nan"):
        Outcomes.from_rows([good, bad])


def test_one_id_for_two_prompts_is_refused():
    rows = [Outcome("x", p, "", "a", 1.0, 0.1, 0.1) for p in ("Hi", "Bye")]
    with pytest.raises(BadTable, match="two different prompts"):
        Outcomes.from_rows(rows)


def test_missing_cells_stay_missing_and_do_not_move_the_mean():
    rows = [Outcome("1", "x", "", "a", 1.0, 0.1, 0.1), Outcome("2", "y", "", "a", 0.0, None, 0.1),
            Outcome("2", "y", "", "b", 1.0, 0.3, 0.1)]  # fmt: skip
    wide = Outcomes.from_rows(rows)
    assert np.isnan(wide.quality_NM[0, 1])
    assert np.isnan(wide.usd_NM[1, 0])
    assert wide.means() == {"a": (0.5, 0.1), "b": (1.0, 0.3)}
    assert list(wide.rows()) == rows


def test_a_later_row_replaces_the_earlier():
    rows = [Outcome("1", "x", "", "a", 0.0, 0.1, 0.1), Outcome("1", "x", "", "b", 0.0, 0.1, 0.1),
            Outcome("1", "x", "", "a", 1.0, 0.1, 0.1)]  # fmt: skip
    assert Outcomes.from_rows(rows).quality_NM.tolist() == [[1.0, 0.0]]


@given(seed=st.integers(0, 50), share=st.floats(0.2, 0.8))
def test_a_split_keeps_equal_prompts_together_and_loses_nothing(seed, share):
    whole = example_table(120)
    train, test = whole.split(share, seed)
    assert sorted(train.ids + test.ids) == sorted(whole.ids)
    assert not set(train.prompts) & set(test.prompts)


def test_a_split_does_not_depend_on_the_order_of_rows():
    whole = example_table(120)
    backwards = whole.select(np.arange(120)[::-1])
    assert set(whole.split()[0].ids) == set(backwards.split()[0].ids)


def test_files_weigh_equally_when_asked():
    joined = Outcomes.concat([example_table(30), example_table(90, seed=1)], equal=True)
    assert np.isclose(joined.weight_N[:30].sum(), joined.weight_N[30:].sum())
    assert np.isclose(joined.weight_N.mean(), 1)


def test_joining_needs_the_same_models():
    with pytest.raises(BadTable, match="different models"):
        Outcomes.concat([example_table(30), example_table(30).only(("tiny", "large"))])


def test_only_names_the_unknown_model():
    with pytest.raises(UnknownModel, match="Did you mean 'tiny'"):
        example_table().only(["tinny"])


def test_the_fingerprint_sees_every_number():
    one, other = table([[0, 1], [1, 1]]), table([[0, 1], [1, 0.5]])
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint == table([[0, 1], [1, 1]]).fingerprint


def test_the_callers_arrays_stay_writable():
    quality = np.array([[0.0, 1.0]])
    table(quality)
    quality[0, 0] = 1.0


def test_a_split_keeps_prompts_together_that_differ_in_case_and_spaces_only():
    prompts = tuple(f"{word} {i}" for i in range(30) for word in ("What is", " WHAT   is"))
    for part in changed(prompts=prompts).split():
        seen = [" ".join(prompt.lower().split()) for prompt in part.prompts]
        assert all(seen.count(prompt) == 2 for prompt in seen)


def test_a_split_that_leaves_a_model_without_scores_says_in_which_part_and_what_to_do():
    said = "leaves model 'tiny' without any score in the (training|test) part; collect more answers of it"
    with pytest.raises(BadTable, match=said):
        rarely_asked(prompts=("Equal", "equal", *example_table(60).prompts[2:])).split()


def test_tables_are_joined_whatever_the_order_of_their_models():
    table = example_table(30)
    joined = Outcomes.concat([table, table.only(table.models[::-1])])
    assert joined.models == table.models
    np.testing.assert_array_equal(joined.quality_NM, np.vstack([table.quality_NM] * 2))


def test_a_cost_that_is_known_in_rows_of_no_weight_only_is_unknown():
    usd = np.full((60, 3), np.nan)
    usd[0] = 1.0
    means = changed(usd_NM=usd, weight_N=np.arange(60) > 0).means()
    assert all(np.isnan(cost) for _, cost in means.values())


def test_half_a_character_in_a_prompt_is_hashed_like_any_other():
    table = changed(prompts=("a\udcff", *example_table(60).prompts[1:]))
    assert table.fingerprint != example_table(60).fingerprint
    assert sum(map(len, table.split())) == 60


MODELS = ("a", "b", "c")
NUMBER = st.none() | st.floats(0, 1)
TOKENS = st.integers(0, 10**6)
SAID = st.fixed_dictionaries({
    "usd": NUMBER, "seconds": NUMBER, "tokens_in": TOKENS, "tokens_out": TOKENS, "answer": st.text(max_size=40),
    "finish": st.sampled_from(["stop", "length"]), "logprob": st.none() | st.floats(-9, 0), "declined": st.booleans(),
    "reference": st.sampled_from(["", "4"]), "scorer": st.sampled_from(["", "exact"]), "tokens_cached": TOKENS,
    "tokens_written": TOKENS, "tokens_reasoning": TOKENS,
})  # fmt: skip


@st.composite
def recorded(draw):
    """Rows of a table whose first prompt every model was scored on; others may be missing, unscored or bare."""
    rows = []
    for n in range(draw(st.integers(1, 5))):
        for model in MODELS:
            said = draw(st.none() | st.just({}) | SAID) if n else draw(SAID)
            if said is not None:
                quality = draw(NUMBER) if n else draw(st.floats(0, 1))
                shared = {"id": f"q{n}", "prompt": f"prompt {n}", "group": "g", "source": f"s{n // 2}"}
                rows.append(Outcome(**shared, model=model, quality=quality, **({"usd": None, "seconds": None} | said)))
    return rows


@given(rows=recorded())
def test_rows_come_back_as_they_went_in(rows):
    table = Outcomes.from_rows(rows)
    assert list(table.rows()) == [row for row in rows if table.recorded or row.quality is not None]
    assert Outcomes.from_rows(table.rows()).fingerprint == table.fingerprint


@given(rows=recorded(), data=st.data())
def test_answers_stay_with_their_prompts_and_models(rows, data):
    table = Outcomes.from_rows(rows)
    order = [0, *data.draw(st.lists(st.integers(0, len(table) - 1), max_size=6))]
    models = data.draw(st.permutations(MODELS))[: data.draw(st.integers(2, 3))]
    joined = Outcomes.concat([table.select(order).only(models), table.only(models)])
    for place, n in enumerate((*order, *range(len(table)))):
        for m, model in enumerate(models):
            assert joined.answer(place, model) == table.answer(n, model)
            if table.declined_NM is not None:
                assert joined.declined_NM[place, m] == table.declined_NM[n, table.models.index(model)]


def test_a_table_of_bare_scores_keeps_no_answers_and_knows_of_no_declined_call():
    bare = example_table(20)
    again = Outcomes.from_rows(bare.rows())
    for table in (bare, again):
        assert not table.keeps_answers and table.declined_NM is None and table.answer(0, "tiny") is None
    told = Outcomes.from_rows(replace(row, answer="Hi") for row in bare.rows())
    assert told.keeps_answers and not told.declined_NM.any()
    assert told.fingerprint == again.fingerprint


def test_a_table_with_answers_keeps_them_when_it_is_joined_with_one_without():
    bare = example_table(20)
    told = Outcomes.from_rows(replace(row, answer="Hi") for row in bare.rows())
    joined = Outcomes.concat([bare, told])
    assert joined.keeps_answers
    assert joined.answer(0, "tiny") is None and joined.answer(20, "tiny").text == "Hi"
    assert len(list(joined.rows())) == 2 * 20 * 3


def test_what_was_never_measured_takes_no_space():
    table = table_without_seconds(example_table(1000)).select(np.arange(500)).only(("tiny", "large"))
    assert np.isnan(table.seconds_NM).all() and not any(table.seconds_NM.strides)


def table_without_seconds(table):
    return replace(table, seconds_NM=np.full(table.seconds_NM.shape, np.nan))


def test_the_fingerprint_of_a_large_table_is_that_of_its_bytes():
    table = Outcomes.concat([example_table(300)] * 70)
    texts = "\0".join((*table.prompts, *table.groups, *table.models)).encode()
    numbers = (table.quality_NM, table.usd_NM, table.seconds_NM, table.weight_N)
    assert table.fingerprint == hashlib.sha256(texts + b"".join(array.tobytes() for array in numbers)).hexdigest()


def test_a_count_that_no_table_has_room_for_is_refused():
    with pytest.raises(BadTable, match="column 'tokens_in'"):
        Outcomes.from_rows([Outcome("x", "Hi", "", "a", 1.0, 0.1, 0.1, tokens_in=2**31)])


def test_the_digest_tells_what_the_fingerprint_does_not():
    """Strategies look at answers and at what was declined, and sources decide what is resampled together."""
    cells = ("small", "large")
    one = [Outcome("a", "Hi", "", model, 1.0, None, None, answer="Yes", source="talk") for model in cells]
    table = Outcomes.from_rows(one)
    changes = [{"declined": True}, {"answer": "No"}, {"source": "other"}, {"tokens_out": 5}, {"logprob": -1.0}]
    for change in changes:
        other = Outcomes.from_rows([replace(one[0], **change), replace(one[1], source=change.get("source", "talk"))])
        assert other.fingerprint == table.fingerprint
        assert other.digest != table.digest
    assert Outcomes.from_rows(one).digest == table.digest
    assert replace(table, recorded=None).digest != table.digest
