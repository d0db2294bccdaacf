from html.parser import HTMLParser

import orjson
from hypothesis import given
from hypothesis import strategies as st

from waypost.evaluation.report.html import Safe, data, join, table, tag


class Reader(HTMLParser):
    """What a browser would see: the tags, their attributes, and the text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, name, attributes):
        self.tags.append((name, dict(attributes)))

    def handle_data(self, text):
        self.texts.append(text)


TEXT = st.text().map(lambda text: text.replace("\r", "").replace("\0", ""))


@given(TEXT, TEXT)
def test_what_a_user_wrote_stays_text(content, attribute):
    seen = Reader(tag("p", content, title=attribute))
    assert seen.tags == [("p", {"title": attribute})]
    assert "".join(seen.texts) == content


@given(st.lists(TEXT))
def test_joined_texts_stay_texts(texts):
    assert [name for name, _ in Reader(join([tag("b", text) for text in texts])).tags] == ["b"] * len(texts)


@given(st.dictionaries(TEXT, TEXT | st.floats(allow_nan=False, allow_infinity=False)))
def test_json_cannot_end_its_element(value):
    element = data(value)
    assert element.count("<") == 2
    assert orjson.loads(element.split(">", 1)[1].rsplit("<", 1)[0]) == value


def test_only_html_of_ours_is_not_escaped():
    assert tag("p", Safe("<b>"), "<b>") == "<p><b>&lt;b&gt;</p>"
    assert tag("p", None, hidden=True, lang=None, dir=False) == "<p hidden></p>"


def test_a_table_names_its_rows_and_columns_and_can_be_scrolled_by_keyboard():
    seen = Reader(table("Prices", ["", "usd"], [["small", "1"]], numbers=1))
    scopes = [attributes.get("scope") for name, attributes in seen.tags if name == "th"]
    assert scopes == ["col", "col", "row"]
    (region,) = [attributes for name, attributes in seen.tags if attributes.get("role") == "region"]
    assert region["aria-label"] == "Prices"
    assert region["tabindex"] == "0"
