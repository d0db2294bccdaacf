"""The same request written a little differently: what carries the meaning (numbers, code, quotations) stays intact."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random

from waypost.errors import BadInput, nearest

# Code, bracketed and quoted parts, and every word with a digit or a sign of code or mathematics in it.
_KEPT = re.compile(r'(```.*?```|`[^`]*`|\[[^\]]*\]|"[^"]*"|“[^”]*”|\S*[\d_=<>{}()/\\@^+*|~#$%·²³]\S*)', re.DOTALL)
_WORD = re.compile(r"[A-Za-z]{4,}")
_TYPO_SHARE = 0.15
_END = re.compile(r"[.?!…]+$")

# Plain equivalents, whole words only; the first letter keeps its case.
_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "write": ("compose", "produce"), "give": ("provide", "hand"), "show": ("present", "display"),
    "explain": ("clarify", "set out"), "describe": ("outline", "depict"), "tell": ("inform",),
    "make": ("create", "build"), "find": ("determine", "work out"), "translate": ("render", "put"),
    "prove": ("demonstrate", "show rigorously"), "plan": ("arrange", "organise"), "compare": ("contrast",),
    "summarise": ("condense", "sum up"), "list": ("enumerate", "name"), "draft": ("prepare", "write up"),
    "need": ("require", "want"), "function": ("routine", "procedure"), "larger": ("bigger", "greater"),
    "kindly": ("politely", "gently"), "every": ("each",), "keeping": ("preserving",),
    "roughly": ("about", "approximately"), "main": ("chief", "principal"), "reason": ("cause", "grounds"),
    "answer": ("reply", "respond"), "happy": ("joyful", "merry"), "modern": ("present-day", "contemporary"),
    "design": ("devise", "architect"), "strongest": ("best", "most forceful"), "argue": ("reason", "make the case"),
    "correct": ("fix", "repair"), "note": ("point out", "mark"), "chance": ("probability", "likelihood"),
}  # fmt: skip
_SYNONYM = re.compile(rf"\b({'|'.join(_SYNONYMS)})\b", re.IGNORECASE)
_BEFORE = (
    "Please help: ",
    "Here is my request. ",
    "I would like the following. ",
    "Could you do this for me? ",
    "Hi. ",
)
_AFTER = (" Thanks!", " Thank you.", " That is all.", " I appreciate it.")


def typos(text: str, rng: Random) -> str:
    """Slips of the finger in about one word of seven, at least one: letters swapped, lost or doubled."""
    words = [match for part in _free(text) for match in _WORD.finditer(text, *part)]
    if not words:
        return text
    hit = rng.sample(words, max(1, round(_TYPO_SHARE * len(words))))
    for match in sorted(hit, key=lambda m: -m.start()):
        text = text[: match.start()] + _slip(match[0], rng) + text[match.end() :]
    return text


def case(text: str, rng: Random) -> str:
    """All in lower case or all in capitals."""
    change = rng.choice((str.lower, str.upper))
    return _mapped(text, change)


def spaces(text: str, rng: Random) -> str:
    """Doubled spaces here and there, a space before, a line break after."""
    doubled = _mapped(text, lambda part: re.sub(" ", lambda _: rng.choice((" ", "  ")), part))
    return f" {doubled}{rng.choice((chr(10), '  '))}"


def punctuation(text: str, rng: Random) -> str:
    """Commas dropped, and another mark at the end, or none."""
    without = _mapped(text, lambda part: part.replace(",", ""))
    endings = [ending for ending in ("", "...", "!!", " ?", ".") if not without.endswith(ending) or not ending]
    return _END.sub("", without) + rng.choice(endings)


def paraphrase(text: str, rng: Random) -> str:
    """By rule: plain synonyms of a fixed list, and now and then a polite word before or after."""
    changed = _mapped(text, lambda part: _SYNONYM.sub(lambda match: _synonym(match[0], rng), part))
    if changed == text or rng.random() < 0.5:
        before, after = rng.choice(((rng.choice(_BEFORE), ""), ("", rng.choice(_AFTER))))
        changed = before + changed + after
    return changed


KINDS: Mapping[str, Callable[[str, Random], str]] = {
    "typos": typos,
    "case": case,
    "spaces": spaces,
    "punctuation": punctuation,
    "paraphrase": paraphrase,
}


def perturbed(kind: str, prompts: Sequence[str], seed: int = 0) -> list[str]:
    """Every prompt changed in one way; the same for the same seed, whatever the other prompts are.

    A prompt in which nothing can be changed stays as it is.

    Raises:
        BadInput: an unknown kind, with the nearest one.

    >>> perturbed("typos", ["What is 17 + 26?", "Explain `x = 1` slowly."])
    ['Wht is 17 + 26?', 'Explain `x = 1` sllowly.']
    """
    if kind not in KINDS:
        raise BadInput(f"no perturbation '{kind}'; there are {', '.join(KINDS)}.{nearest(kind, KINDS)}")
    return [KINDS[kind](prompt, Random(f"{kind} {seed} {prompt}")) for prompt in prompts]  # noqa: S311 - not secret


def _free(text: str) -> list[tuple[int, int]]:
    """Where the parts begin and end that may be changed."""
    kept = [match.span() for match in _KEPT.finditer(text)]
    begins = [0, *(end for _, end in kept)]
    ends = [*(start for start, _ in kept), len(text)]
    return [(begin, end) for begin, end in zip(begins, ends, strict=True) if begin < end]


def _mapped(text: str, change: Callable[[str], str]) -> str:
    """The text with its free parts changed."""
    parts = _KEPT.split(text)
    return "".join(part if place % 2 else change(part) for place, part in enumerate(parts))


def _slip(word: str, rng: Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    lost, doubled = word[:at] + word[at + 1 :], word[: at + 1] + word[at:]
    return rng.choice([slip for slip in (swapped, lost, doubled) if slip != word])


def _synonym(word: str, rng: Random) -> str:
    other = rng.choice(_SYNONYMS[word.lower()])
    return other.capitalize() if word[0].isupper() else other
