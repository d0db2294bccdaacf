import pytest

from waypost.cli.argv import spread


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["eval", "--train", "a", "b", "--test", "c"], ["eval", "--train", "a", "--train", "b", "--test", "c"]),
        (["--train", "a", "--train", "b"], ["--train", "a", "--train", "b"]),
        (["--train=a", "b", "--json"], ["--train", "a", "--train", "b", "--json"]),
        (["table", "--router", "knn", "x"], ["table", "--router", "knn", "x"]),
        (["--set", "k=4", "alpha=2", "table"], ["--set", "k=4", "--set", "alpha=2", "table"]),
        (["--set", "typo", "table"], ["--set", "typo", "table"]),
        (["--train", "a", "--", "--test", "b"], ["--train", "a", "--", "--test", "b"]),
        (["--train", "--json"], ["--train", "--json"]),
        (["--json", "--train"], ["--json", "--train"]),
        ([], []),
    ],
)
def test_each_value_gets_its_own_option(given, meant):
    assert spread(given) == meant


@pytest.mark.parametrize("absolute", [True, False])
def test_a_pattern_in_quotes_is_expanded_in_order(tmp_path, monkeypatch, absolute):
    monkeypatch.chdir(tmp_path)
    for name in ("b_train.json", "a_train.json", "a_test.json"):
        (tmp_path / name).touch()
    root = f"{tmp_path}/" if absolute else ""
    meant = ["--train", f"{root}a_train.json", "--train", f"{root}b_train.json", "--json"]
    assert spread(["--train", f"{root}*_train.json", "--json"]) == meant


def test_a_pattern_without_a_match_stays_so_that_the_error_can_name_it(tmp_path):
    assert spread(["--test", f"{tmp_path}/*.csv"]) == ["--test", f"{tmp_path}/*.csv"]


def test_settings_are_no_patterns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=1").touch()
    assert spread(["--set", "a=*"]) == ["--set", "a=*"]
