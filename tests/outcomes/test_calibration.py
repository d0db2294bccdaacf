"""A calibration on disk: it comes back as it was, and anything else is refused in a sentence."""

import json

import numpy as np
import pytest

from waypost.errors import BadInput
from waypost.outcomes.calibration import Calibration
from waypost.outcomes.drift import Reference, Traffic


@pytest.fixture
def written(tmp_path):
    reference = Reference.of(Traffic.of(["a", "b"] * 50, np.random.default_rng(0).random((100, 2)), range(100)))
    path = tmp_path / "calibration.json"
    Calibration({"usd": 7.0}, {"keep": 0.95}, {"n": 100}, "router", "ab12", reference).write(path)
    return path


def test_it_comes_back_as_it_was(written):
    found = Calibration.read(written)
    assert (found.objective, found.goal, found.promise) == ({"usd": 7.0}, {"keep": 0.95}, {"n": 100})
    assert (found.router, found.fingerprint, found.reference.choices) == ("router", "ab12", {"a": 50, "b": 50})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda _: "{", "is not JSON"),
        (lambda _: "[]", "no calibration of format 1"),
        (lambda content: json.dumps(content | {"format": 2}), "no calibration of format 1"),
        (
            lambda content: json.dumps({k: v for k, v in content.items() if k != "goal"}),
            "no whole calibration .see goal",
        ),
        (lambda content: json.dumps(content | {"objective": 3}), "no whole calibration"),
        (lambda content: json.dumps(content | {"reference": {}}), "no reference to tell drift by"),
    ],
)
def test_anything_else_is_refused(written, change, problem):
    written.write_text(change(json.loads(written.read_text())))
    with pytest.raises(BadInput, match=problem):
        Calibration.read(written)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BadInput, match=r"cannot read the calibration .*No such file.*waypost calibrate --out"):
        Calibration.read(tmp_path / "none.json")
