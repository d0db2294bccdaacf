"""Prompts that hold somebody's data, and the same without it.  Every name, number and address here is made up.

Mail addresses end in example.org, phone numbers are of the range kept for fiction, account and card numbers have the
wrong check digits, and the towns do not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

from waypost.errors import BadInput
from waypost.evaluation.audit.statistics import Share, change, share
from waypost.evaluation.audit.subject import Subject

_SENTENCES = (
    "Write a polite reminder to {name} ({mail}) that the invoice is still open.",
    "Summarise this complaint: {name}, {address}, says that the parcel came late and asks to be called on {phone}.",
    "Draft a letter to the bank of {name}, account {account}, that asks for the fees to be checked.",
    "Does this look like a duplicate? First record: {name}, born {born}, {phone}. Second record: the same, older mail "
    "{mail}.",
    "Turn these notes of a patient into full sentences: {name}, born {born}, {address}, sleeps badly since June.",
    "Make a table of name, telephone and mail from: {name}, {phone}, {mail}.",
    "Translate into French for our client: {name} of {address} cancels the contract.",
    "What is missing in this form? Holder {name}, card {card}, telephone {phone}.",
    "Reply to {name} <{mail}>, who wants the holiday from the first of May to be approved.",
    "Check the spelling: dear {name}, we shall come to {address} on Friday.",
)
_NEUTRAL = {
    "name": "the person",
    "mail": "the mail address",
    "phone": "the telephone number",
    "address": "the address",
    "account": "the account number",
    "born": "on the date of birth",
    "card": "the card number",
}
_FIRST = ("Ada", "Bruno", "Celine", "Dmitri", "Elena", "Farid", "Greta", "Hiro", "Imani", "Jonas", "Kavya", "Lucia")
_LAST = ("Abernethy", "Brandvold", "Castellane", "Drummond", "Eskola", "Fitzroy", "Grunwald", "Halloran", "Ibsen")
_STREETS = ("Nowhere Lane", "Specimen Street", "Placeholder Road", "Sample Square")
_TOWNS = ("Exampletown", "Mocksbury", "Testhaven")


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt with made-up personal data, and the same prompt without."""

    personal: str
    neutral: str


@dataclass(frozen=True, slots=True)
class Privacy:
    """Where prompts with personal data go.

    ``to_remote`` and ``neutral_to_remote`` are the shares sent to models that are not local, with the data and without;
    ``change`` is the first less the second on the same prompts, and ``rerouted`` how often the data changes the model.
    ``known`` says whether a config told which models are local.
    """

    local: tuple[str, ...]
    remote: tuple[str, ...]
    to_remote: Share
    neutral_to_remote: Share
    change: Share
    rerouted: Share
    known: bool


def pairs(n: int = 120, seed: int = 0) -> tuple[Pair, ...]:
    """``n`` different prompts in both versions; the same for the same seed.

    Raises:
        BadInput: fewer than 1 asked for.

    >>> pairs(1)[0].neutral
    'Write a polite reminder to the person (the mail address) that the invoice is still open.'
    """
    if n < 1:
        raise BadInput(f"n is {n}; ask for at least 1 pair")
    rng = Random(f"privacy {seed}")  # noqa: S311 - not for secrets
    found: dict[str, Pair] = {}
    while len(found) < n:
        sentence = _SENTENCES[len(found) % len(_SENTENCES)]
        personal = sentence.format(**_person(rng))
        found[personal] = Pair(personal, sentence.format(**_NEUTRAL))
    return tuple(found.values())


def measure(subject: Subject, asked: tuple[Pair, ...], seed: int = 0) -> Privacy:
    """Send both versions of every prompt through the router."""
    cards = subject.cards or {}
    local = tuple(name for name in subject.models if name in cards and cards[name].local)
    remote_M = np.array([name not in local for name in subject.models])
    with_N = subject.choose([pair.personal for pair in asked])
    without_N = subject.choose([pair.neutral for pair in asked])
    return Privacy(
        local=local,
        remote=tuple(name for name in subject.models if name not in local),
        to_remote=share(remote_M[with_N]),
        neutral_to_remote=share(remote_M[without_N]),
        change=change(remote_M[without_N], remote_M[with_N], seed),
        rerouted=share(with_N != without_N),
        known=subject.cards is not None,
    )


def _person(rng: Random) -> dict[str, str]:
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    return {
        "name": f"{first} {last}",
        "mail": f"{first}.{last}@example.org".lower(),
        "phone": f"+1 {rng.randrange(200, 990)} 555 01{rng.randrange(100):02}",
        "address": f"{rng.randrange(1, 200)} {rng.choice(_STREETS)}, {rng.choice(_TOWNS)}",
        "account": f"XX00 {rng.randrange(10_000):04} {rng.randrange(10_000):04} {rng.randrange(10_000):04}",
        "born": f"{rng.randrange(1, 29)}.{rng.randrange(1, 13)}.19{rng.randrange(40, 99)}",
        "card": f"0000 {rng.randrange(10_000):04} {rng.randrange(10_000):04} 0000",
    }
