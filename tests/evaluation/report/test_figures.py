import sys
from xml.etree import ElementTree

import matplotlib as library
import pytest

from waypost.errors import NotInstalled
from waypost.evaluation.report import figures


@pytest.fixture(scope="module")
def files(findings, tmp_path_factory):
    return figures.save(findings, tmp_path_factory.mktemp("figures"), figures.matplotlib())


def test_each_test_has_its_curves_or_qualities_its_shares_and_its_reliability(files):
    kinds = ("svg", "png")
    names = [f"test1_{n}.{k}" for n in ("curves", "shares", "reliability") for k in kinds]
    names += [f"test2_{n}.{k}" for n in ("quality", "shares", "reliability") for k in kinds]
    assert [file.name for file in files] == names
    assert all(file.stat().st_size > 1000 for file in files)


def test_the_vector_files_are_one_column_wide_with_text_as_paths(files):
    for file in files:
        if file.suffix == ".svg":
            root = ElementTree.parse(file).getroot()
            assert float(root.get("width").removesuffix("pt")) / 72 == pytest.approx(3.4, abs=0.01)
            assert not list(root.iter("{http://www.w3.org/2000/svg}text"))
            assert list(root.iter("{http://www.w3.org/2000/svg}path"))


def test_the_same_findings_make_the_same_bytes(findings, files, tmp_path):
    again = figures.save(findings, tmp_path, figures.matplotlib())
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]


def test_hostile_names_are_drawn_as_they_are(hostile, tmp_path):
    for file in figures.save(hostile, tmp_path, figures.matplotlib()):
        if file.suffix == ".svg":
            assert not list(ElementTree.parse(file).getroot().iter("{http://www.w3.org/2000/svg}script"))


def test_the_users_own_settings_stay_as_they_were(findings, tmp_path):
    with library.rc_context({"font.size": 31}):
        figures.save(findings, tmp_path, figures.matplotlib())
        assert library.rcParams["font.size"] == 31


def test_without_matplotlib_the_command_that_brings_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(NotInstalled, match=r"pip install 'waypost\[report\]'"):
        figures.matplotlib()
