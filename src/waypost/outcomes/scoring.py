"""How an answer is marked: pure functions from a sample and a text to 0..1; `SCORERS` is the only registry.

A reference may hold several acceptable answers, parted by `` || ``.  The ``judge`` scorer asks a model and
therefore lives in `waypost.outcomes.collect`; here it is only a name.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping

from waypost.errors import BadInput, nearest
from waypost.outcomes.numbers import number_matches, numbers
from waypost.types import Sample

Scorer = Callable[[Sample, str], float]

JUDGE = "judge"
_BETWEEN = " || "
_ORDERS = 6  # chrF: character n-grams up to 6 …
_BETA = 2.0  # … and recall twice as important as precision
_OPTION = re.compile(r"(?:^|[\n ])\(?([A-J])[).:]\s+(.+?)(?=\s+\(?[A-J][).:]\s|\n|$)")
# "A" is also an article: as a bare letter it counts only where a sentence would not put one.
_SAYS = re.compile(
    r"(?i:answer|option|choice|choose|pick)(?i: would be| is|:)*\s*\(?"
    r"([B-J]\b|A\b(?! (?!because|since|as)\w)|[a-j]\))"
)
_LISTED = re.compile(r"(?:^|\s)\(?([A-J])\)")
_STARTS = re.compile(r"^\W*([A-Ja-j])(?:[).:,]|\s*$|\s*\n)")
_LONE = re.compile(r"(?<![\w'])([B-J]|A(?=[).:]))(?![\w'])")


def score(sample: Sample, text: str) -> float:
    """How good an answer is, 0 (wrong) to 1 (right), by the sample's own scorer.

    Raises:
        BadInput: the scorer is not known, or the reference cannot be used by it.

    >>> score(Sample("1", "Capital of France?", "contains", "Paris"), "It is Paris, of course.")
    1.0
    """
    check(sample)
    if sample.scorer == JUDGE:
        raise BadInput(f"sample {sample.id!r} is scored by a judge model; collect it with one (--judge MODEL)")
    return SCORERS[sample.scorer](sample, text)


def check(sample: Sample) -> None:
    """Refuse a sample that can never be scored.

    Raises:
        BadInput: an unknown scorer, no reference, or one that the scorer cannot use.
    """
    known = (*SCORERS, JUDGE)
    if sample.scorer not in known:
        raise BadInput(
            f"sample {sample.id!r}: no scorer {sample.scorer!r}; there are {', '.join(known)}."
            f"{nearest(sample.scorer, known)}"
        )
    if not sample.reference.strip():
        raise BadInput(f"sample {sample.id!r}: the scorer {sample.scorer!r} needs a reference, it is empty")
    complain = _COMPLAINTS.get(sample.scorer)
    if complain and (complaint := complain(sample)):
        raise BadInput(f"sample {sample.id!r}: {complaint}")


def references(sample: Sample) -> list[str]:
    """The acceptable answers of a sample.

    >>> references(Sample("1", "Opposite of big?", "exact", "small || little"))
    ['small', 'little']
    """
    return [part.strip() for part in sample.reference.split(_BETWEEN) if part.strip()]


def plain(text: str) -> str:
    """Text as `exact` and `contains` compare it: lower case, single spaces, no emphasis and no outer punctuation.

    >>> plain(' **"The  Nile."** ')
    'the nile'
    """
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    text = " ".join(re.sub(r"[*_`#]+", "", text).split())
    return re.sub(r"^[^\w+\-]+|[^\w%)]+$", "", text)


def exact(sample: Sample, text: str) -> float:
    """The whole answer is one of the references, but for case, spaces, emphasis and outer punctuation.

    >>> exact(Sample("1", "Reverse 'dog'.", "exact", "god"), '"God".')
    1.0
    """
    return float(plain(text) in {plain(reference) for reference in references(sample)})


def contains(sample: Sample, text: str) -> float:
    """One of the references occurs in the answer as whole words.

    >>> [contains(Sample("1", "Metal Au?", "contains", "gold"), answer) for answer in ("It is gold.", "Golden!")]
    [1.0, 0.0]
    """
    where = plain(text)
    return float(any(re.search(rf"(?<!\w){re.escape(plain(r))}(?!\w)", where) for r in references(sample)))


def several(sample: Sample, text: str) -> float:
    """At least so many different words of a list occur; the reference is ``2: apple || pear || cherr*``.

    A plural's s is allowed, and a star stands for any ending.

    >>> sample = Sample("1", "Name two fruits.", "several", "2: apple || pear || cherr*")
    >>> [several(sample, answer) for answer in ("Pears and cherries.", "An apple, and apples.")]
    [1.0, 0.0]
    """
    wanted, listed = _wanted(sample)
    where = plain(text)
    return float(sum(re.search(_word(item), where) is not None for item in listed) >= wanted)


def _wanted(sample: Sample) -> tuple[int, list[str]]:
    count, _, listed = sample.reference.partition(":")
    return int(count), [item.strip() for item in listed.split(_BETWEEN.strip()) if item.strip()]


def _word(item: str) -> str:
    if item.endswith("*"):
        return rf"(?<!\w){re.escape(plain(item[:-1]))}"
    return rf"(?<!\w){re.escape(plain(item))}(?:e?s)?(?!\w)"


def regex(sample: Sample, text: str) -> float:
    r"""The reference, one regular expression, is found in the answer (``(?i)`` in it ignores case).

    >>> regex(Sample("1", "Greet me.", "regex", r"(?i)\b(hello|hi)\b"), "Hello there")
    1.0
    """
    return float(re.search(sample.reference, text.strip()) is not None)


def number(sample: Sample, text: str) -> float:
    """The answer's number is the reference's, in its unit where a unit is stated; see `waypost.outcomes.numbers`.

    >>> number(Sample("1", "5 km in metres?", "number", "5000 m"), "There are 5,000 metres in 5 km.")
    1.0
    """
    return float(any(number_matches(reference, text) for reference in references(sample)))


def choice(sample: Sample, text: str) -> float:
    """The answer chooses the reference's letter, by letter or by the text of exactly one option of the prompt.

    >>> quiz = Sample("1", "Which one flies?  A) a bird  B) a stone", "choice", "A")
    >>> [choice(quiz, answer) for answer in ("A", "The answer is (a).", "B) a stone", "A bird.", "Hm, A or B.")]
    [1.0, 1.0, 0.0, 1.0, 0.0]
    """
    options = dict(_OPTION.findall(sample.prompt))
    return float(_chosen(options, text.strip()) == sample.reference.strip().upper()[:1])


def _chosen(options: Mapping[str, str], text: str) -> str | None:
    """The letter that an answer settles on, or None."""
    text = re.sub(r"[*_`]+", "", text)
    if found := _SAYS.search(text):
        return found[1][0].upper()
    if len(set(_LISTED.findall(text))) > 1:  # it repeats the options and chooses none
        return None
    if found := _STARTS.search(text):
        return found[1].upper()
    named = {letter for letter, option in options.items() if _mentions(text, option)}
    if len(named) == 1:
        return named.pop()
    lone = set(_LONE.findall(text))
    return lone.pop() if len(lone) == 1 else None


def _mentions(text: str, option: str) -> bool:
    bare = re.sub(r"^(?:an?|the|to|some) ", "", plain(option))
    return re.search(rf"(?<!\w){re.escape(bare)}(?!\w)", plain(text)) is not None


def similarity(sample: Sample, text: str) -> float:
    """Likeness to the nearest reference: chrF, the F-score of character n-grams.

    Precision and recall are averaged over the n-grams of 1 to 6 characters (spaces left out, case kept; an order
    that neither text is long enough for is not counted), and joined with beta = 2.

    Source: Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015.

    >>> similarity(Sample("1", "Bom dia, in English?", "similarity", "Good morning."), "Good morning.")
    1.0
    """
    return max(_chrf(reference, text) for reference in references(sample))


def _chrf(reference: str, text: str) -> float:
    want, got = "".join(reference.split()), "".join(text.split())
    precisions, recalls = [], []
    for order in range(1, _ORDERS + 1):
        wanted, given = (Counter(s[i : i + order] for i in range(len(s) - order + 1)) for s in (want, got))
        if not wanted and not given:
            continue
        shared = (wanted & given).total()
        precisions.append(shared / max(given.total(), 1))
        recalls.append(shared / max(wanted.total(), 1))
    if not sum(precisions):
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return min(1.0, (1 + _BETA**2) * precision * recall / (_BETA**2 * precision + recall))


SCORERS: Mapping[str, Scorer] = {
    "exact": exact,
    "contains": contains,
    "number": number,
    "choice": choice,
    "regex": regex,
    "several": several,
    "similarity": similarity,
}


def _no_number(sample: Sample) -> str | None:
    for reference in references(sample):
        if not numbers(reference):
            return f"the reference {reference!r} holds no number"
    return None


def _no_letter(sample: Sample) -> str | None:
    letter = re.fullmatch(r"[A-Ja-j]\b.*", sample.reference.strip(), re.DOTALL)
    return None if letter else f"the reference of 'choice' is one letter, A to J; it is {sample.reference!r}"


def _no_expression(sample: Sample) -> str | None:
    try:
        re.compile(sample.reference)
    except re.error as error:
        return f"the reference is not a regular expression: {error}"
    return None


def _no_count(sample: Sample) -> str | None:
    if re.match(r"\s*\d+\s*:", sample.reference):
        wanted, listed = _wanted(sample)
        if 0 < wanted <= len(listed):
            return None
    return (
        f"the reference of 'several' is a count and at least so many words, like '2: apple || pear'; "
        f"it is {sample.reference!r}"
    )


_COMPLAINTS: Mapping[str, Callable[[Sample], str | None]] = {
    "number": _no_number,
    "choice": _no_letter,
    "regex": _no_expression,
    "several": _no_count,
}
