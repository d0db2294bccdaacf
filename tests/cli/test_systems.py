from waypost.routers import KINDS


def test_systems_lists_every_router_with_its_labels(rows):
    found = rows("systems")
    assert [row["name"] for row in found] == list(KINDS)
    assert (found[-1]["when"], "answer" in found[-1]["looks_at"]) == ("after an answer", True)


def test_people_get_one_line_a_router(waypost):
    shown, _ = waypost("systems")
    assert len(shown.splitlines()) == 1 + len(KINDS)


def test_a_router_that_is_trained_with_torch_says_what_brings_it(rows):
    needs = {row["name"]: row["needs"] for row in rows("systems")}
    assert needs["ridge"] == []
    assert {name for name, extras in needs.items() if extras} == {
        name for name, kind in KINDS.items() if getattr(kind, "needs", ())
    }


def test_what_was_found_of_a_router_stands_beside_it(rows):
    found = {row["name"]: row["evidence"] for row in rows("systems")}
    assert found["cheapest"] == []
    (claim,) = [one for one in found["cascade"] if one["system"] == "RouterBench: cascade"]
    assert claim["verdict"] in {"holds here", "does not hold here", "undecided", "nothing to test"}
    assert claim["note"] and claim["commit"]


def test_one_router_is_told_in_full(waypost, rows):
    told, _ = waypost("systems", "knn")
    assert told.startswith("knn: decides before the answer; looks at prompt vector; learns: similarity")
    assert "settings: k=None, encoder=static-256" in told
    assert "nearest neighbours" in told
    (row,) = rows("systems", "knn")
    assert row["settings"]["encoder"] == "static-256"


def test_a_mistyped_name_is_met_with_the_nearest(waypost):
    _, err = waypost("systems", "knnn", fails=True)
    assert "Did you mean 'knn'" in err
