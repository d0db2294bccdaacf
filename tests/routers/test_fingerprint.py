"""One fitted router is told from another."""

import pytest

from waypost import routers
from waypost.outcomes import example_table
from waypost.routers.fingerprint import fingerprint


@pytest.mark.parametrize("name", routers.ROUTERS)
def test_a_saved_router_is_itself_and_no_other(name, tmp_path):
    made = routers.make(name).fit(example_table(60))
    routers.save(made, tmp_path / name)
    assert fingerprint(routers.load(tmp_path / name)) == fingerprint(made)
    assert fingerprint(routers.make(name).fit(example_table(61))) != fingerprint(made)


def test_a_class_that_is_no_dataclass_is_told_by_its_name():
    class Mine:
        pass

    class Yours:
        pass

    assert fingerprint(Mine()) == fingerprint(Mine()) != fingerprint(Yours())
