"""Translation from English to Portuguese, marked by likeness to the references."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, any_of, lines, lower_first
from waypost.embedded.prompts.sentences import pair

_ASKS = lines("""
    Translate to Portuguese: {}
    Translate to Portuguese: {}
    Translate into Portuguese: {}
    Translate into Portuguese: {}
    Please translate into Portuguese: {}
    Please translate this into Portuguese: {}
    Translate this sentence to Portuguese: "{}"
    How would you say "{}" in Portuguese?
    Translate the following sentence from English to Portuguese: "{}"
    How do you say "{}" in Portuguese?
    English to Portuguese: {}
    Put this into Portuguese, please: {}
    Please translate "{}" into Brazilian Portuguese.
    What is "{}" in Portuguese?
    Can you translate this to Portuguese? {}
    I am writing to a friend in Brazil. Translate for me: {}
    Give me the Portuguese for: {}
    Translate this text to Portuguese. {}
    Say this in Portuguese: {}
    Traduza para o português: {}
    My landlady in Lisbon only speaks Portuguese. How can I tell her: "{}"
""")


def draft(rng: Random) -> Draft:
    """One sentence to translate."""
    (english, *_), portuguese = pair(rng)
    ask = rng.choice(_ASKS)
    if ask.startswith("How do you say"):
        english = lower_first(english) if not english.startswith("I ") else english
        english = english.rstrip(".")
    return Draft(ask.format(english), "similarity", any_of(*portuguese))
