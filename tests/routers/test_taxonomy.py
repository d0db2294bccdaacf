"""What tells routers apart, for each of the registry."""

from pathlib import Path

import pytest

from waypost.routers import KINDS
from waypost.routers.taxonomy import LEARNS, LOOKS_AT, WHEN, labels


@pytest.mark.parametrize("name", KINDS)
def test_every_router_declares_its_three_labels(name):
    found = labels(KINDS[name])
    assert found.when in WHEN
    assert set(found.looks_at) <= set(LOOKS_AT)
    assert found.learns in LEARNS


def test_only_what_decides_after_an_answer_looks_at_answers():
    for kind in KINDS.values():
        assert ("answer" in labels(kind).looks_at) == (labels(kind).when == "after an answer")


def test_a_label_of_ones_own_is_refused_with_those_that_exist():
    class Mine:
        when, looks_at, learns = "before the answer", "the moon", "means"

    with pytest.raises(ValueError, match=r"Mine\.looks_at is 'the moon'; it must be one of nothing, prices"):
        labels(Mine)


def test_a_missing_label_is_refused():
    with pytest.raises(ValueError, match=r"object\.when is ''"):
        labels(object)


def test_every_router_is_on_the_page_of_routers():
    page = (Path(__file__).resolve().parents[2] / "docs" / "routers.md").read_text()
    assert [name for name in KINDS if f"`{name}`" not in page] == []
