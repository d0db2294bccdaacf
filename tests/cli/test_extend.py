"""``waypost extend``: a saved router learns a model from a few rows, without being trained again."""

import numpy as np
import pytest

from waypost import routers
from waypost.outcomes import example_table, parquet

WHOLE = example_table(300)
KNOWN = WHOLE.models[:2]


@pytest.fixture
def saved(tmp_path):
    """A router that has seen two of three models, and 50 further rows in which the third was measured too."""
    router = routers.make("preference_similarity").fit(WHOLE.select(np.arange(250)).only(KNOWN))
    routers.save(router, tmp_path / "router")
    parquet.write(tmp_path / "new.parquet", WHOLE.select(np.arange(250, 300)))
    return tmp_path


def test_a_new_model_is_known_and_the_others_stay(saved, rows):
    words = ("extend", saved / "router", saved / "new.parquet", "--model", "large", "--out", saved / "wider")
    (report,) = rows(*words)
    assert report == {
        "router": "preference_similarity", "out": str(saved / "wider"), "model": "large", "rows": 50,
        "models": ["tiny", "maths-expert", "large"],
    }  # fmt: skip
    before, after = (routers.load(saved / name).predict(["What is 17 plus 26?"]) for name in ("router", "wider"))
    np.testing.assert_allclose(after.quality_NM[:, :2], before.quality_NM, atol=1e-9)
    assert routers.load_sample(saved / "wider", after.models).models == after.models


def test_people_are_told_what_it_knows_now(saved, waypost):
    words = ("extend", saved / "router", saved / "new.parquet", "--model", "large", "--out", saved / "wider")
    out, _ = waypost(*words)
    assert "now knows tiny, maths-expert, large" in out


def test_what_cannot_be_extended_is_a_sentence(saved, waypost):
    words = ("extend", saved / "router", saved / "new.parquet", "--model", "lrge", "--out", saved / "wider")
    _, err = waypost(*words, fails=True)
    assert "Did you mean 'large'" in err
    routers.save(routers.make("domain").fit(WHOLE), saved / "router")
    _, err = waypost(*words, fails=True)
    assert "holds a 'domain', which is trained anew with a new model; " in err
    assert "preference_similarity" in err
    assert not (saved / "wider").exists()
