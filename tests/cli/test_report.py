import json
import re
import sys

import pytest

from waypost.cli.lines import people


@pytest.fixture
def written(waypost, tmp_path):
    """Run a report: the page, and what was said on stderr."""

    def run(*words):
        out = tmp_path / "out.html"
        _, err = waypost("report", out, *words, "--resamples", "50")
        return out.read_text(), err

    return run


def test_the_page_holds_the_findings_and_stderr_says_them(written, routerbench):
    page, err = written(routerbench("own", 200), "--format", "routerbench", "--router", "domain,best_single")
    for said in ("domain", "best single model", "zero router"):
        assert said in err
        assert said in page
    assert page.count("<script>") == 2
    assert 3e6 < len(page) < 8e6


def test_one_object_with_all_the_numbers_for_machines(rows, routerbench, tmp_path):
    words = (routerbench("own", 200), "--format", "routerbench", "--router", "domain", "--resamples", "50")
    (found,) = rows("report", tmp_path / "out.html", *words, "--objective", "usd=100")
    (tested,) = found["tests"]
    assert found["weights"] == {"quality": 1, "usd": 100}
    assert found["verdicts"]["own"]["domain"] in {"beats", "matches", "loses"}
    assert found["sentences"]["own"][0].startswith("domain ")
    assert tested["methods"][0]["curve"]["usd"] == sorted(tested["methods"][0]["curve"]["usd"])
    (line,) = [line for line in tested["found"]["lines"] if line["kind"] == "asked"]
    (row,) = rows("eval", *words, "--objective", "usd=100")
    assert (line["quality"], line["usd"], line["gain_ci95"]) == (row["quality"], row["usd"], row["gain_ci95"])


def test_the_table_has_the_columns_of_eval_in_their_order(written, routerbench, monkeypatch):
    seen = []
    monkeypatch.setattr("waypost.cli.lines.people", lambda found: seen.append(people(found)) or seen[-1])
    page, _ = written(routerbench("own", 150), "--format", "routerbench", "--router", "ridge")
    heads = [re.findall(r'<th scope="col">([^<]*)</th>', table) for table in page.split("<table>")]
    columns = [column.replace("&", "&amp;") for column in seen[0][0]]
    assert [*columns, "quality, 95 %", "beats", "p"] in heads


def test_without_costs_the_page_says_so(written, routerdc):
    train, test = routerdc("a_train", 150), routerdc("a_test", 60, seed=2)
    page, err = written("--format", "routerdc", "--train", train, "--test", test, "--router", "domain")
    assert "No costs are known" in err
    assert "No costs are known" in page


def test_a_model_named_like_a_script_stays_text(written, tmp_path):
    files = []
    for name, n in (("train", 120), ("test", 60)):
        names = ("<script>alert(1)</script>", "b")
        content = [
            {"question": f"{name} {i} <script>alert(2)</script>", "scores": {names[0]: i % 2, names[1]: (i + 1) % 2}}
            for i in range(n)
        ]
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(content))
    page, _ = written("--format", "routerdc", "--train", files[0], "--test", files[1], "--router", "knn")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page


def test_the_command_line_is_there_without_the_places_of_files(written, routerdc, tmp_path):
    train, test = routerdc("a_train", 120), routerdc("a_test", 60, seed=2)
    page, _ = written("--format", "routerdc", "--train", train, "--test", test, "--router", "knn", "--seed", 3)
    assert (
        "waypost report out.html --format routerdc --train a_train.json --test a_test.json --router knn --seed 3 "
        "--resamples 50"
    ) in page
    assert str(tmp_path) not in page


def test_leaks_are_left_out_and_shown(written, routerdc, tmp_path):
    train, test = routerdc("a_train", 120), routerdc("a_test", 60, seed=2)
    both = tmp_path / "both.json"
    both.write_text(json.dumps(json.loads(train.read_text())[:20] + json.loads(test.read_text())))
    page, err = written("--format", "routerdc", "--train", train, "--test", both, "--router", "knn")
    assert "of 80 test questions" in err
    assert "Leaked questions, the least alike first" in page


def test_the_same_command_makes_the_same_page(waypost, routerbench, tmp_path):
    words = (routerbench("own", 120), "--format", "routerbench", "--router", "ridge", "--resamples", "50")
    pages = []
    for _ in range(2):  # an earlier report may be replaced
        waypost("report", tmp_path / "out.html", *words)
        pages.append((tmp_path / "out.html").read_bytes())
    assert pages[0] == pages[1]


def test_figures_are_written_into_a_folder(waypost, routerbench, tmp_path):
    words = ("--format", "routerbench", "--router", "ridge", "--resamples", "50", "--figures", tmp_path / "figures")
    waypost("report", tmp_path / "out.html", routerbench("own", 120), *words)
    names = {f"{name}.{kind}" for name in ("curves", "shares", "reliability") for kind in ("svg", "png")}
    assert {file.name for file in (tmp_path / "figures").iterdir()} == names


def test_what_is_missing_is_said_before_anything_is_measured(waypost, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    _, err = waypost("report", tmp_path / "out.html", fails=True)
    assert err == "waypost: the report draws with plotly, which is missing: pip install 'waypost[report]'\n"
    assert not (tmp_path / "out.html").exists()


def test_a_table_in_the_place_of_the_page_is_not_overwritten(waypost, routerbench):
    table = routerbench("own", 120)
    held = table.read_bytes()
    _, err = waypost("report", table, "--router", "ridge", fails=True)
    assert f"ends in .html, not {table}; to report on a table: waypost report report.html {table}" in err
    assert table.read_bytes() == held


@pytest.mark.parametrize(
    ("made", "out", "words", "said"),
    [
        ("page.html", "page.html", (), "page.html is there already and was not made by waypost report"),
        ("page.html", "no/page.html", (), "no to write page.html in; make it first"),
        ("page.html/x", "page.html", (), "page.html is a folder; name a file to write, such as"),
        ("page.txt", "new.html", ("--figures", "page.txt"), "--figures page.txt is a file; name a folder"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_measured(
    waypost, tmp_path, monkeypatch, made, out, words, said
):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / made
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("<!doctype html>\n<html>my own page</html>")
    _, err = waypost("report", out, *words, fails=True)
    assert said in err
    assert len(err.splitlines()) == 1
    assert mine.read_text().endswith("my own page</html>")
