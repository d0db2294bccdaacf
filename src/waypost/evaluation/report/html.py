"""HTML that cannot be injected into: whatever is not already `Safe` is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import orjson

Child = str | None
_VOID = frozenset({"meta", "br", "hr", "col"})


class Safe(str):
    """Text that is HTML already; only this module makes it from other text."""

    __slots__ = ()


def tag(name: str, /, *children: Child, **attributes: str | bool | None) -> Safe:
    """An element; attribute names lose a trailing underscore and trade the others for dashes.

    >>> tag("p", "1 < 2 ", tag("b", "yes"), class_="a", aria_label='"')
    '<p class="a" aria-label="&quot;">1 &lt; 2 <b>yes</b></p>'
    """
    written = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    if name in _VOID:
        return Safe(f"<{name}{written}>")
    return Safe(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[Child], between: str = "") -> Safe:
    """Several pieces side by side."""
    return Safe(between.join(c if isinstance(c, Safe) else escape(c) for c in children if c is not None))


def script(code: str) -> Safe:
    """Our own code; never anything that a user wrote."""
    return Safe(f"<script>{code}</script>")


def style(code: str) -> Safe:
    """Our own style; never anything that a user wrote."""
    return Safe(f"<style>{code}</style>")


def data(value: Any) -> Safe:
    r"""JSON in an element that no browser runs; no text in it can end the element.

    >>> data("</script>")
    '<script type="application/json">"\\u003c/script>"</script>'
    """
    text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode().replace("<", "\\u003c")
    return Safe(f'<script type="application/json">{text}</script>')


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Child]], numbers: int = 0) -> Safe:
    """A table that scrolls by itself on a narrow screen; the last ``numbers`` columns are aligned right.

    The caption stands above, as a caption within would be folded to the width of a narrow table.
    """
    first_number = len(columns) - numbers

    def cells(row: Sequence[Child], head: bool) -> Safe:
        made = []
        for k, cell in enumerate(row):
            name, scope = ("th", "col") if head else ("th", "row") if k == 0 else ("td", None)
            shown = tag("span", cell, class_="name") if scope == "row" else cell
            made.append(tag(name, shown, scope=scope, class_="number" if k >= first_number else None))
        return tag("tr", *made)

    shown = tag(
        "div",
        tag(
            "table",
            tag("thead", cells(columns, head=True)),
            tag("tbody", *(cells(row, head=False) for row in rows)),
        ),
        class_="scroll",
        role="region",
        tabindex="0",
        aria_label=caption,
    )
    return join([tag("p", caption, class_="caption"), shown])


def verdict(word: str) -> Safe:
    """A verdict in its colour."""
    return tag("span", word, class_=word.split(maxsplit=1)[0])


def _attribute(name: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
