import importlib
import subprocess

import pytest

import waypost
from waypost.cli import origin
from waypost.encoders import named
from waypost.outcomes import example_table
from waypost.routers import make, save


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A folder under version control with one committed file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code.py").write_text("x = 1\n")
    for words in ("init -q", "add code.py", "-c user.name=A -c user.email=a@b.c commit -qm first"):
        subprocess.run(["git", *words.split()], check=True)
    return tmp_path


def test_a_commit_has_a_plus_where_code_differs_from_it(repository):
    clean = origin.commit(None)
    assert len(clean) == 12
    changed = []
    for text in ("x = 2\n", "x = 3\n", "x = '\udcff'\n"):
        (repository / "code.py").write_bytes(text.encode(errors="surrogateescape"))
        changed.append(origin.commit(None))
    assert len(set(changed)) == 3
    assert all(one.startswith(clean + "+") for one in changed)
    (repository / "code.py").write_text("x = 1\n")
    assert origin.commit(None) == clean


def test_the_rows_themselves_are_no_change(repository, monkeypatch):
    clean = origin.commit(None)
    rows = repository / "kept" / "rows[1].jsonl"
    rows.parent.mkdir()
    rows.write_text("1\n")
    subprocess.run(["git", "add", "."], check=True)
    assert origin.commit(rows) == clean
    assert origin.commit(None).startswith(clean + "+")
    monkeypatch.chdir(rows.parent)
    assert origin.commit(rows) == clean


def test_outside_of_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert origin.commit(None) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert origin.commit(None) is None


def test_parameters_are_the_settings_without_the_seed():
    assert origin.parameters("random", make("random", seed=3)) == {}
    encoder = named("static-256")
    assert origin.parameters("knn", make("knn", k=7, encoder=encoder))["k"] == 7
    assert origin.parameters("knn", make("knn", encoder=encoder))["encoder"] == encoder.name


def test_a_saved_router_is_told_by_its_files(tmp_path):
    folder = tmp_path / "mine"
    save(make("domain").fit(example_table(100)), folder)
    first = origin.parameters(str(folder), make("domain"))
    save(make("domain").fit(example_table(120)), folder)
    assert origin.parameters(str(folder), make("domain"))["files"] != first["files"]


def test_a_class_is_told_by_all_modules_that_are_not_installed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "told_class.py").write_text("import told_helper\nclass Mine: ...\n")
    (tmp_path / "told_helper.py").write_text("TEMPERATURE = 1\n")
    made = importlib.import_module("told_class").Mine()
    first = origin.parameters("told_class:Mine", made)
    assert origin.parameters("told_class:Mine", made) == first
    (tmp_path / "told_helper.py").write_text("TEMPERATURE = 2\n")
    assert origin.parameters("told_class:Mine", made) != first


def test_a_version_that_is_worked_on_is_told_by_its_source(tmp_path, monkeypatch):
    versions = []
    for folder in ("src", "changed", "lib/site-packages"):
        package = tmp_path / folder / "waypost"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"# {folder}\n")
        monkeypatch.setattr(waypost, "__file__", str(package / "__init__.py"))
        versions.append(origin.version.__wrapped__())
    assert len(set(versions)) == 3
    assert versions[2] == waypost.__version__
