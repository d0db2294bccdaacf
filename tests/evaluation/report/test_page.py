import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from waypost.errors import NotInstalled
from waypost.evaluation.report import page

LIBRARY = "/* the library */"
TABLE = [{"": "domain", "quality %": "90.00", "seconds": None}]


class Reader(HTMLParser):
    """The tags of a page with their attributes, its scripts by type, and its other text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.styles, self.text, self.open = [], [], [], "", ""
        self.feed(text)
        self.close()

    def handle_starttag(self, name, attributes):
        self.tags.append((name, dict(attributes)))
        self.open = name
        if name == "script":
            self.scripts.append((dict(attributes).get("type"), ""))

    def handle_endtag(self, name):
        self.open = ""

    def handle_data(self, text):
        if self.open == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + text)
        elif self.open == "style":
            self.styles.append(text)
        else:
            self.text += text


def written(findings, library=LIBRARY):
    return page.page(findings, {tested.part.name: TABLE for tested in findings.tests}, library)


@pytest.fixture(scope="module")
def seen(findings):
    return Reader(written(findings))


def test_nothing_is_loaded_from_anywhere(findings):
    """No address outside the library, which holds some it never visits, and no attribute that loads something."""
    text = written(findings)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    seen = Reader(text)
    loading = {"src", "srcset", "action", "data", "poster", "background", "formaction", "ping"}
    assert not [(name, attributes) for name, attributes in seen.tags if loading & set(attributes)]
    assert not [name for name, _ in seen.tags if name in {"link", "iframe", "object", "embed", "base", "img", "form"}]
    assert all(attributes["href"].startswith("#") for _, attributes in seen.tags if "href" in attributes)


def test_the_policy_lets_only_the_two_scripts_run_and_nothing_be_loaded(findings):
    seen = Reader(written(findings, page.plotly()))
    (policy,) = [a["content"] for name, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    running = [code for kind, code in seen.scripts if kind is None]
    assert len(running) == 2
    for code in running:
        assert f"'sha256-{b64encode(sha256(code.encode()).digest()).decode()}'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]


def test_what_is_hostile_stays_text(hostile):
    text = written(hostile)
    seen = Reader(text)
    assert "alert(" in seen.text
    assert [kind for kind, _ in seen.scripts].count(None) == 2
    assert not [code for kind, code in seen.scripts if kind is None and "alert" in code]
    assert not [name for name, _ in seen.tags if name in {"img", "i", "b"}]
    assert not [key for _, attributes in seen.tags for key in attributes if key.startswith("on")]
    text.encode("utf-8", errors="replace")


def test_a_reader_without_eyes_finds_headings_tables_and_what_each_chart_says(seen):
    headings = [int(name[1]) for name, _ in seen.tags if re.fullmatch(r"h[1-6]", name)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(headings))
    pictures = [attributes for name, attributes in seen.tags if attributes.get("role") == "img"]
    assert len(pictures) > 10
    assert all(picture["aria-label"] for picture in pictures)
    assert all("scope" in attributes for name, attributes in seen.tags if name == "th")
    assert dict(seen.tags)["html"]["lang"] == "en"


def test_every_id_is_there_once_and_every_reference_finds_its_own(seen):
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {
        attributes[key] for _, attributes in seen.tags for key in ("data-choice", "data-log") if key in attributes
    }
    wanted |= {attributes["href"][1:] for _, attributes in seen.tags if "href" in attributes}
    assert wanted <= set(ids)


def test_the_findings_come_first_then_the_results_then_the_data(seen):
    places = [
        seen.text.index(word) for word in ("Findings: priced", "At a glance", "Results: priced", "The same again")
    ]
    assert places == sorted(places)
    for word in ("Leaks", "AIQ", "calibration error", "Domains, told apart", "fingerprint", "waypost report out.html"):
        assert word in seen.text


def test_the_page_follows_light_dark_and_print_and_a_narrow_window(seen):
    style = "".join(seen.styles)
    for query in ("prefers-color-scheme: dark", "@media print", "max-width: 40rem"):
        assert query in style
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in seen.tags


def test_the_same_findings_make_the_same_bytes(findings):
    assert written(findings) == written(findings)


def test_without_plotly_the_command_that_brings_it_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "plotly.offline", None)
    with pytest.raises(NotInstalled, match=r"pip install 'waypost\[report\]'"):
        page.plotly()
