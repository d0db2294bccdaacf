import pickle
from pathlib import Path

import pytest

from waypost.errors import BadTable
from waypost.outcomes import Outcomes
from waypost.outcomes.readers import Intake, guessed, routereval

WRITTEN = sorted((Path(__file__).parent / "pickles").glob("pools*.pkl"))


@pytest.fixture
def pools(tmp_path):
    def write(*names, scores=((1, 0), (0, 1)), prompts=("p1", "p2")):
        sets = {"prompt": {"train_prompt": list(prompts)}, "easy": {}}
        for name in names:
            size, group = name.split("/")
            sets["easy"].setdefault(int(size), {})[group] = {"model": ["x", "y"], "data": {"train_score": list(scores)}}
        path = tmp_path / "arc_router_dataset.pkl"
        path.write_bytes(pickle.dumps(sets))
        return path

    return write


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_pools_that_numpy_wrote_are_read(path):
    intake = Intake()
    table = Outcomes.from_rows(routereval.rows(path, intake))
    assert guessed(path) == "routereval"
    assert (table.models, table.prompts) == (("x", "y"), ("p1", "p2", "p3", "p4"))
    assert table.quality_NM.tolist() == [[1, 0], [0, 1], [0.25, 1], [1, 0]]
    assert "pool easy/3/all_strong, 2 models" in intake.notes[0]


def test_the_data_set_is_the_group(pools):
    rows = list(routereval.rows(pools("3/all_weak"), Intake()))
    assert {(row.group, row.id) for row in rows} == {("arc", "arc-train-0"), ("arc", "arc-train-1")}


def test_several_pools_are_listed_and_one_is_chosen(pools):
    path = pools("3/all_weak", "5/all_weak")
    with pytest.raises(BadTable, match="several pools; name one with --pool: easy/3/all_weak, easy/5/all_weak"):
        list(routereval.rows(path, Intake()))
    assert len(list(routereval.rows(path, Intake(pool="easy/5/all_weak")))) == 4
    with pytest.raises(BadTable, match=r"no pool 'easy/5/all_week'.*Did you mean 'easy/5/all_weak'"):
        list(routereval.rows(path, Intake(pool="easy/5/all_week")))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"prompts": ["p1"]}, "train: 1 prompts and 2 rows of scores do not fit for 2 models"),
        ({"scores": [[1], [0]]}, "do not fit for 2 models"),
        ({"scores": [[1, 2], [0, 1]]}, r"train 0, column 'y': 2 is not a number from 0 to 1"),
        ({"prompts": [1, 2]}, "do not fit"),
    ],
)
def test_scores_that_do_not_fit_are_refused(pools, options, sentence):
    with pytest.raises(BadTable, match=sentence):
        list(routereval.rows(pools("3/all_weak", **options), Intake()))


@pytest.mark.parametrize(
    "data", [[1, 2], {"easy": 3}, {"easy": {3: {"a": {"model": ["x"]}}}}, {"easy": {3: {"a": {"model": 5}}}}]
)
def test_another_pickle_is_refused(tmp_path, data):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(data))
    with pytest.raises(BadTable, match=r"a.pkl: "):
        list(routereval.rows(path, Intake()))
