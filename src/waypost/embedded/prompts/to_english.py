"""Translation from Portuguese to English, marked by likeness to the reference."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, any_of, lines
from waypost.embedded.prompts.sentences import pair

_ASKS = lines("""
    Translate to English: {}
    Translate to English: {}
    Translate into English: {}
    Translate into English: {}
    Please translate into English: {}
    Please translate this into English: {}
    Translate this sentence to English: "{}"
    Translate the following sentence from Portuguese to English: "{}"
    What does "{}" mean in English?
    Portuguese to English: {}
    Put this into English, please: {}
    Please translate "{}" into English.
    Can you translate this to English? {}
    A colleague wrote me this in Portuguese, translate it for me: {}
    What is the English for "{}"?
    Say this in English: {}
    How would you say "{}" in English?
    Traduza para o inglês: {}
    The sign says "{}". Translate it to English.
    I got this message from Brazil and do not understand it: "{}" What does it say in English?
""")


def draft(rng: Random) -> Draft:
    """One sentence to translate."""
    english, portuguese = pair(rng)
    return Draft(rng.choice(_ASKS).format(portuguese[0]), "similarity", any_of(*english))
