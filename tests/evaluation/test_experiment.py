import fcntl
import json
import threading

import numpy as np
import pytest

from waypost.errors import BadInput, UnknownModel
from waypost.evaluation import compare
from waypost.evaluation.baselines import chosen, single
from waypost.evaluation.experiment import KEY, Rows, blamed, comparison, figures
from waypost.outcomes import Outcomes, example_table

NAN = np.nan


def key(router="knn", **changes):
    return {**dict.fromkeys(KEY, "x"), "router": router, "parameters": {"k": 40}, **changes}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kept" / "rows.jsonl"


def test_a_row_is_in_the_file_as_soon_as_it_is_appended(path):
    rows = Rows(path)
    rows.append(key(), {"gain": 0.1, "seconds": NAN})
    (line,) = path.read_text().splitlines()
    assert json.loads(line) == {**key(), "gain": 0.1, "seconds": None}


def test_a_rerun_finds_what_is_there_and_appends_the_rest(path):
    Rows(path).append(key(), {"gain": 0.1})
    rows = Rows(path)
    assert rows.find(key())["gain"] == 0.1
    assert rows.find(key("ridge")) is None
    rows.append(key("ridge"), {"gain": 0.2})
    assert len(Rows(path)) == 2


@pytest.mark.parametrize("name", KEY)
def test_whatever_a_row_depends_on_makes_another_row(path, name):
    rows = Rows(path)
    rows.append(key(), {"gain": 0.1})
    assert rows.find(key(**{name: "another"})) is None


def test_the_order_of_parameters_makes_no_other_row():
    rows = Rows()
    rows.append(key(parameters={"a": 1, "b": [1, 2]}), {"gain": 0.1})
    assert rows.find(key(parameters={"b": (1, 2), "a": 1})) is not None


def test_a_torn_last_line_is_cut_off_and_computed_again(path):
    rows = Rows(path)
    rows.append(key(), {"gain": 0.1})
    rows.append(key("ridge"), {"gain": 0.2})
    path.write_bytes(path.read_bytes()[:-9])
    mended = Rows(path)
    assert mended.mended
    assert (len(mended), mended.find(key("ridge"))) == (1, None)
    mended.append(key("ridge"), {"gain": 0.2})
    assert not Rows(path).mended
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{nonsense", r"rows.jsonl:1: this line is no row: .*; mend it, or choose another --out file"),
        ('{"router": "knn"}', r"rows.jsonl:1: a row of an experiment has a 'kind'; choose another --out file"),
        ("[1, 2]", r"rows.jsonl:1: a row of an experiment has a 'kind'; choose another --out file"),
    ],
)
def test_a_file_of_something_else_is_left_alone(tmp_path, line, sentence):
    path = tmp_path / "rows.jsonl"
    for text in (line + "\n", line + "\n" + line, line + '\n{"kind":"as'):
        path.write_text(text)
        with pytest.raises(BadInput, match=sentence):
            Rows(path)
        assert path.read_text() == text


@pytest.mark.parametrize("text", [b'{"precious": 1}', b"[1,\n2]", b'{"kind": "precious"}', b"PAR1\x00\nPAR1", b"key"])
def test_a_file_of_something_else_without_a_final_newline_is_left_alone(tmp_path, text):
    path = tmp_path / "precious.json"
    path.write_bytes(text)
    with pytest.raises(BadInput, match=r"precious\.json"):
        Rows(path)
    assert path.read_bytes() == text


def test_a_last_line_that_is_no_row_is_left_alone_below_rows(path):
    Rows(path).append(key(), {"gain": 0.1})
    text = path.read_bytes() + b"a note"
    path.write_bytes(text)
    with pytest.raises(BadInput, match="does not end like a file of rows"):
        Rows(path)
    assert path.read_bytes() == text


def test_an_empty_file_takes_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.touch()
    Rows(path).append(key(), {"gain": 0.1})
    assert len(Rows(path)) == 1


def test_a_row_that_is_being_appended_is_not_cut_off(path):
    """Whoever reads waits until another process has written its whole line."""
    Rows(path).append(key(), {"gain": 0.1})
    line = json.dumps({**key("ridge"), "gain": 0.2}).replace(": ", ":").encode() + b"\n"
    found = []
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(line[:30])
        file.flush()
        reader = threading.Thread(target=lambda: found.append(Rows(path)))
        reader.start()
        reader.join(0.2)
        assert reader.is_alive()
        file.write(line[30:])
    reader.join()
    assert (len(found[0]), found[0].mended) == (2, False)


def test_a_folder_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(BadInput, match=r"is a folder; name a file for the rows, such as .*rows\.jsonl"):
        Rows(tmp_path)


def one_by_one(table, asked):
    """The rows of an experiment: each router compared by itself, the rest once, through a file's JSON."""
    rows = Rows()
    beside = compare(table, {}, resamples=200)
    units = [(beside, line) for line in beside.lines if line.name != "zero"]
    for name, earned in asked.items():
        found = compare(table, {name: earned}, resamples=200)
        units.append((found, found.line(name)))
    keys = [key(line.name, kind=line.kind) for _, line in units]
    for each, (found, line) in zip(keys, units, strict=True):
        rows.append(each, figures(found, line))
    return comparison(rows.find(each) for each in keys)


def test_rows_make_up_the_comparison_that_they_came_from():
    table = example_table(300)
    by_group = np.array([{"maths": 1}.get(group, 2) for group in table.groups])
    asked = {"good": chosen(table, by_group), "bad": single(table, "tiny")}
    found, whole = one_by_one(table, asked), compare(table, asked, resamples=200)
    for line in whole.lines:
        same = found.line(line.name, line.kind)
        assert (same.gain, same.ci95, same.zero_gain_ci95, same.verdict, same.share) == (
            line.gain, line.ci95, line.zero_gain_ci95, line.verdict, line.share,
        )  # fmt: skip
    assert (found.zero_at, found.best_single, found.n) == (whole.zero_at, whole.best_single, whole.n)
    assert [line.name for line in found.lines] == [line.name for line in whole.lines]


def test_of_many_rows_the_verdicts_are_corrected():
    """Without the resamples the correction is Holm's: each p-value times the routers that are left."""
    table = example_table(300)
    rng = np.random.default_rng(0)
    asked = {str(k): chosen(table, rng.integers(0, 3, 300)) for k in range(4)}
    lines = [line for line in one_by_one(table, asked).lines if line.kind == "asked"]
    smallest = min(lines, key=lambda line: line.p)
    assert smallest.p_adjusted == pytest.approx(4 * smallest.p)


def test_what_was_missing_is_missing_again():
    parts = example_table(60)
    table = Outcomes(
        parts.ids, parts.prompts, parts.groups, parts.models, parts.quality_NM, np.full(parts.quality_NM.shape, NAN)
    )
    found = one_by_one(table, {"it": single(table, "tiny")})
    assert np.isnan([found.line("it").usd, *found.line("it").zero_gain_ci95]).all()
    assert found.zero_at is None


def test_an_error_of_ours_names_the_router_and_the_test():
    with pytest.raises(BadInput, match="my:Router on mmlu: no model 'larg' in the pool"), blamed("my:Router", "mmlu"):
        raise UnknownModel("larg", ["large"])


def test_any_other_error_stops_the_run_as_it_is_and_says_where():
    with pytest.raises(KeyError) as raised, blamed("my:Router", "mmlu"):
        raise KeyError("weights")
    assert raised.value.__notes__ == ["while measuring my:Router on mmlu"]
