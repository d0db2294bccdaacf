from waypost.routers import KINDS


def test_systems_lists_every_router_with_its_labels(rows):
    found = rows("systems")
    assert [row["name"] for row in found] == list(KINDS)
    assert (found[-1]["when"], "answer" in found[-1]["looks_at"]) == ("after an answer", True)


def test_people_get_one_line_a_router(waypost):
    shown, _ = waypost("systems")
    assert len(shown.splitlines()) == 1 + len(KINDS)
