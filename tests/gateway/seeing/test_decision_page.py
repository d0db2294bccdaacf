"""A decision as a page: nothing that a client, a model or a provider says can become a part of it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from waypost.gateway.seeing.decision_page import HEADERS, page, wanted
from waypost.store import Attempt, Decided
from waypost.types import Decision

EVIL = "</style></title><script>alert(1)</script><img src=x onerror='a'>\"&amp;\ud800\0"
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "span", "section", "dl", "div", "dt",
    "dd", "pre", "table", "thead", "tbody", "tr", "th", "td", "svg", "rect",
}  # fmt: skip
ATTRIBUTES = {"lang", "charset", "name", "content", "class", "viewbox", "preserveaspectratio", "width", "height"}


class Reader(HTMLParser):
    """Which elements and attributes a page has, and its text."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.values: set[str] = set()
        self.text = ""
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.values |= {value or "" for _, value in attrs}

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def row(text: str = "large", **changes: Any) -> dict[str, Any]:
    """A row with the same text wherever there is room for one."""
    decision = Decision(
        router=text,
        ranking=(text, "small"),
        scores={text: 0.8, "small": 0.7},
        quality={text: 0.9, "small": float("nan")},
        usd={text: 0.01},
        seconds={text: 1.5},
        removed={f"{text}2": text},
        weights={text: 100.0},
        why=text,
        propensities={text: 0.25},
    )
    made = Decided(
        text, 1_795_000_000.5, text, text, text, decision, (Attempt(text, "failed", 0.1, None, text),), text, 0.012345,
        1.5, 2000, 30, 200, 1500, 10, 7, key=text, team=text, api=text, session=text, cache="exact", canary=text,
        shadow={"model": text, "quality": 0.8, "usd": 0.001, "incumbent": text, "incumbent_quality": 0.9},
    )  # fmt: skip
    said = {"decision": text, "time": text, "quality": 0.5, "comment": text}
    return {**made.row(), "feedback": [said], "stored": True, **changes}


def test_hostile_texts_stay_texts() -> None:
    kind, evil = Reader(page(row())), Reader(page(row(EVIL)))
    assert evil.tags == kind.tags <= ALLOWED
    assert evil.attributes == kind.attributes <= ATTRIBUTES
    assert evil.values == kind.values  # nothing of it stands in an attribute
    assert evil.text.count("<script>alert(1)</script>") >= 20
    assert page(row(EVIL)).count(b"</style>") == 1


@pytest.mark.parametrize(
    ("served", "status", "title"),
    [
        ("large", 200, "large answered"),
        ("large", 502, "large broke off"),
        ("large", 499, "The client left large"),
        (None, 499, "The client left before there was an answer"),
        (None, 502, "Nobody answered"),
    ],
)
def test_its_title_says_who_answered_and_who_left(served: str | None, status: int, title: str) -> None:
    assert f"<h1>{title}</h1>" in page(row(served=served, status=status)).decode()


def test_the_page_loads_nothing_and_its_policy_allows_nothing_but_its_own_style() -> None:
    html = page(row()).decode()
    assert not re.search(r"https?:|url\(|@import|<script|<link|style=|\son\w+=", html)
    policy = dict(HEADERS)[b"content-security-policy"].decode()
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy


def test_it_tells_the_whole_decision() -> None:
    text = " ".join(Reader(page(row())).text.split())
    for part in (
        "large answered", "2026-11-18T11:06:40.500+00:00", "Weights: large 100", "0.8000", "0.900", "$0.01", "1.50 s",
        "25%", "large2", "failed", "0.100 s", "$0.0123", "of them cached 1500", "of them thought 7", "exact",
        "The router would have asked large", "0.50",
    ):  # fmt: skip
        assert part in text, part
    bare = row(
        served=None, status=502, prompt=None, predictions={}, weights={}, removed={}, attempts=[], usd=None,
        shadow=None, canary=None, cache=None, feedback=[], propensities=None, session=None, tokens_cached=None,
    )  # fmt: skip
    assert "Nobody answered" in Reader(page(bare)).text


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (b"text/html", True),
        (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        (b"*/*", False),
        (b"application/json, text/html;q=0.5", False),
        (b"text/html;q=0", False),
        (b"text/html;q=high", False),
        (b"", False),
    ],
)
def test_json_stays_the_default(accept: bytes, html: bool) -> None:
    assert wanted([(b"accept", accept)]) is html
    assert not wanted([])


def test_a_browser_gets_the_page_and_others_json(serve, pool) -> None:
    served = serve(pool("error500", "ok", top="router: cheapest\nlog_prompts: true\nreliability: {retries: 0}"))
    evil: list[Any] = [{"role": "user", "content": "<script>alert(1)</script>"}]
    reply = served.client.chat.completions.with_raw_response.create(model="auto", messages=evil)
    path = f"/v1/decisions/{reply.headers['x-waypost-decision']}"
    shown = served.raw(f"GET {path} HTTP/1.1\r\nhost: x\r\naccept: text/html\r\nconnection: close\r\n\r\n".encode())
    assert b"text/html; charset=utf-8" in shown and b"default-src 'none'" in shown
    told = served.raw(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert b"application/json" in told
    missing = served.raw(b"GET /v1/decisions/no HTTP/1.1\r\nhost: x\r\naccept: text/html\r\n\r\n")
    assert b"404" in missing.split(b"\r\n")[0] and b"application/json" in missing


def test_in_the_shadow_nobody_is_called_the_best_who_was_not_asked() -> None:
    text = " ".join(Reader(page({**row(), "ranking": ["small"]})).text.split())
    assert "Who is asked, in this order" in text and "best first" not in text
    assert text.count("(not asked)") == 1
