"""The wordings of arithmetical questions: patterns of the whole text, each with what it means."""

from __future__ import annotations

import re
from collections.abc import Callable

from waypost.pool.meanings import (
    DECIMALS,
    DIRECTIONS,
    PLACES,
    before,
    chain,
    change,
    changed,
    continued,
    convert,
    counted,
    discount,
    excess,
    extreme,
    folded,
    is_kind,
    is_more,
    is_multiple,
    mean,
    pair,
    rounded,
    share,
    tip,
    unknown,
    whole,
)
from waypost.pool.quantity import Quantity
from waypost.pool.units import SPELLINGS

_U = "|".join(re.escape(s) for s in sorted(SPELLINGS, key=len, reverse=True))
_X = "(.+?)"
_MOVED = "|".join(word for word in DIRECTIONS if word not in ("change", "increase", "decrease"))
_NEW_PRICE = r"(?:what is the (?:new|final|reduced) price|(?:what|how much) does it cost now)"
_COUNTS = "dozen|pair|couple|half|quarter|third|hundred|thousand|million|few|of|other|second"
# A thing with a price or a measure: its name bears no number and no name of a person.
_THING = rf"(?:an?|the|my|this) (?!(?:{_COUNTS})\b)[a-z]+(?: (?!(?:{_COUNTS})\b)[a-z]+)?"
_RESULT = (
    r"(?:[,;.?]? (?:what (?:is|do you (?:get|have))|how much (?:is|do you have))(?: the (?:result|answer))?"
    r"| what is left)?"
)
_YES_NO = r"(?:[?.,]? ?\(?(?:please )?(?:(?:answer|say|reply|respond)(?: with)?(?: only| just)? )?yes or no\)?)?"
_LEFT = r"[,;.]? (?:what (?:is|remains)(?: left)?|how (?:much|many) (?:is|are|remains?)(?: left)?)(?: left)?"
WANTED = re.compile(
    rf"(?P<question>.+?)[.,;?]+ (?:(?:give|write|state|express)(?: me)? (?:the|your|its) (?:answer|result|total|sum) )?"
    rf"(?:in|as) (?P<unit>{_U})",
    re.IGNORECASE,
)
FRAMES: list[tuple[re.Pattern[str], Callable[..., Quantity | str]]] = [
    (re.compile(pattern, re.IGNORECASE), meaning)
    for pattern, meaning in (
        (
            rf"is {_X} (larger|greater|bigger|more|higher|smaller|less|lower) than {_X}{_YES_NO}",
            is_more,
        ),
        (rf"is {_X} (?:an? )?(even|odd|prime)(?: number)?{_YES_NO}", is_kind),
        (rf"is {_X} (?:exactly |evenly )?(?:divisible by|a multiple of) {_X}{_YES_NO}", is_multiple),
        (
            rf"how (?:many|much) ({_U}) (?:(?:are|is) )?(?:there )?(?:in|equals?|makes?)\s+{_X}",
            lambda u, x: convert(x, u),
        ),
        (
            rf"(?:(?:i have|there (?:is|are)|it (?:is|takes|lasts|weighs|measures)|(?:this|that) is) "
            rf"|{_THING} (?:is|lasts|takes|weighs|measures|holds) )?{_X}(?: outside| today| long| tall)?"
            rf"[,;.] ?(?:and )?(?:how (?:much|many)|what) is (?:that|this|it) in (?:degrees )?({_U})",
            convert,
        ),
        (
            rf"{_THING} (?:lasts|takes|weighs|measures|holds) {_X}[,;.] ?how many ({_U}) (?:is|are) (?:that|this|it)",
            convert,
        ),
        (rf"(?:express |write |give )?{_X} out of {_X} (?:as|in) (?:a )?(?:percent|percentage|per cent|%)", share),
        (rf"(?:convert |express |change )?{_X} (?:in|to|into|as|as an?) (?:degrees )?({_U})", convert),
        (
            rf"how much do (?:i|you|we) pay for {_THING} (?:of|at|for|costing) {_X} with (?:a )?{_X} (?:off|discount)",
            lambda x, p: discount(p, x),
        ),
        (
            rf"{_THING} (?:costs|is|was) {_X} and is (?:reduced|discounted) by {_X}[.;,] {_NEW_PRICE}",
            lambda x, p: changed(x, p, -1),
        ),
        (
            rf"{_THING} costs {_X} before (?:a )?(?:sales )?tax of {_X}[.;,] (?:what|how much) does it cost "
            r"with (?:the )?tax",
            lambda x, p: changed(x, p, 1),
        ),
        (
            rf"after a (?:discount of )?{_X}(?: discount)?,? {_THING} costs {_X}[.;,] (?:what|how much) did it cost "
            r"before(?: the discount)?",
            lambda p, x: before(x, p, -1),
        ),
        (
            rf"(?:(?:the|an?) )?(?:tip of {_X}|{_X} tip) (?:on|for) (?:(?:a|the) )?(?:bill |meal )?(?:of )?{_X}",
            lambda p, q, x: tip(p or q, x),
        ),
        (
            rf"(?:a|the|my) (?:restaurant )?bill is {_X}[.;,] how much is a (?:tip of {_X}|{_X} tip)",
            lambda x, p, q: tip(p or q, x),
        ),
        (rf"{_X} off(?: of)? {_X}", discount),
        (rf"(?:increase|raise) {_X} by {_X}", lambda x, p: changed(x, p, 1)),
        (rf"(?:decrease|reduce|lower|discount) {_X} by {_X}", lambda x, p: changed(x, p, -1)),
        (rf"(?:if )?{_X} (?:is )?(?:increased|raised) by {_X}{_RESULT}", lambda x, p: changed(x, p, 1)),
        (rf"(?:if )?{_X} (?:is )?(?:decreased|reduced|lowered) by {_X}{_RESULT}", lambda x, p: changed(x, p, -1)),
        (rf"(?:which number is )?{_X} (?:more|greater|larger|bigger) than {_X}", lambda p, x: changed(x, p, 1)),
        (rf"(?:which number is )?{_X} (?:less|fewer|smaller) than {_X}", lambda p, x: changed(x, p, -1)),
        (rf"(?:the )?(?:percent|percentage|%) (change|increase|decrease) from {_X} to {_X}", change),
        (
            rf"(?:an?|the) (?:price|value|number|rent|salary) ({_MOVED}) from {_X} to {_X}[.;,] "
            r"by (?:how many percent|what percentage)",
            change,
        ),
        (rf"{_X} is {_X} of (?:which|what) number", whole),
        (rf"{_X} of (?:which|what) number is {_X}", lambda p, x: whole(x, p)),
        (rf"if {_X} of a number is {_X}[,;.] (?:what is|find) the number", lambda p, x: whole(x, p)),
        (rf"what (?:percent|percentage|%) of {_X} is {_X}", lambda whole, part: share(part, whole)),
        (rf"what (?:percent|percentage|%) is {_X} of {_X}", share),
        (rf"{_X} is what (?:percent|percentage|%) of {_X}", share),
        (rf"(?:express |write )?{_X} as a percent(?:age)? of {_X}", share),
        (
            rf"(?:the )?sum of (?:all )?(?:the )?(?:(?:whole |natural )?numbers|integers) from {_X} (?:up )?to {_X}",
            counted,
        ),
        (
            rf"(?:the )?sum of (?:all )?(?:the )?(even|odd) (?:whole )?numbers from {_X} (?:up )?to {_X}",
            lambda parity, first, last: counted(first, last, parity),
        ),
        (rf"(?:take|start with|begin with) {_X}[,;.] {_X}{_RESULT}", chain),
        (rf"if (?:you|i|we) (?:take|subtract) {_X} (?:away )?from {_X}{_LEFT}", pair(lambda a, b: b - a)),
        (rf"take {_X} (?:away )?from {_X}", pair(lambda a, b: b - a)),
        (rf"how much (?:bigger|larger|greater|more|higher) is {_X} than {_X}", excess),
        (rf"how much (?:smaller|less|lower) is {_X} than {_X}", lambda a, b: excess(b, a)),
        (rf"which (?:one |number )?is (?:larger|bigger|greater|more|higher)[,:;]? {_X},? or {_X}", extreme(1)),
        (rf"which (?:one |number )?is (?:smaller|less|lower)[,:;]? {_X},? or {_X}", extreme(-1)),
        (
            r"(?:what comes next|what is the next number|continue(?: the sequence)?)(?: in the sequence)?[,:]? "
            r"([\d\s.,/-]+?)(?:,? ?(?:\.\.\.|…))?",
            continued,
        ),
        (rf"round {_X} (?:off )?to the nearest ({'|'.join(PLACES)})", rounded),
        (rf"round {_X} (?:off )?to ({'|'.join(DECIMALS)})", rounded),
        (r"(?:if )?([^=]+)=([^=]+?)[,;.?]* (?:what is|find|solve for|then) (?:the value of )?([a-z])", unknown),
        (r"(?:for )?([a-z])(?: if| in| when|[,:]) ([^=]+)=([^=]+)", lambda x, a, b: unknown(a, b, x)),
        (rf"{_X} (?:together|in total|altogether)", folded(Quantity.__add__)),
        (rf"(?:the )?sum of {_X}", folded(Quantity.__add__)),
        (rf"(?:the )?product of {_X}", folded(Quantity.__mul__)),
        (rf"(?:the )?(?:average|mean) of {_X}", mean),
        (rf"(?:the )?difference (?:between|of) {_X}", folded(lambda a, b: max(a - b, b - a, key=lambda q: q.number))),
        (rf"(?:the )?remainder (?:when|of) {_X} (?:is )?divided by {_X}", pair(Quantity.modulo)),
        (rf"subtract {_X} from {_X}", pair(lambda a, b: b - a)),
        (rf"{_X} subtracted from {_X}", pair(lambda a, b: b - a)),
        (rf"add {_X} (?:to|and) {_X}", pair(lambda a, b: b + a)),
        (rf"multiply {_X} (?:by|and) {_X}", pair(Quantity.__mul__)),
        (rf"divide {_X} by {_X}", pair(Quantity.__truediv__)),
    )
]
