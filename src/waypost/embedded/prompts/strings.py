"""Letters and words: counting, reversing, sorting, spelling."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, any_of, words

_WORDS = words("""
    apple banana river window garden yellow pencil rabbit summer bottle market silver letter planet coffee
    mirror orange winter forest butter tunnel pillow basket castle dragon engine flower guitar hammer island
    jacket kitten ladder monkey needle office parrot quiver rocket saddle temple valley wallet zipper
    cherry dollar effort fabric gallop harbor insect jungle kernel lemon marble nickel oyster pepper
""")
_SHORT = words("""
    dog cat sun map tea ice pen red cup hat moon fish bird lamp rain milk star door gold wolf ship tree
    book king frog sand wind leaf desk nest rope salt hill
""")


def draft(rng: Random) -> Draft:
    """One task on letters."""
    return rng.choice((_count, _ends, _ends, _reverse, _order, _spell, _compare, _join))(rng)


def _count(rng: Random) -> Draft:
    word = rng.choice(_WORDS + _SHORT)
    letter = rng.choice(word)
    some = rng.sample(_SHORT, rng.randint(3, 6))
    vowels = sum(word.count(v) for v in "aeiou")
    prompt, value = rng.choice(
        (
            (f"How many letters are in the word '{word}'?", len(word)),
            (f"Count the letters in {word}.", len(word)),
            (f"How many times does the letter '{letter}' appear in '{word}'?", word.count(letter)),
            (f"How many {letter}'s are there in {word}?", word.count(letter)),
            (f"How many vowels (a, e, i, o, u) does the word '{word}' have?", vowels),
            (f"How many words are in this list: {', '.join(some)}?", len(some)),
            (f"How many words are there here? {' '.join(some)}", len(some)),
        )
    )
    return Draft(prompt, "number", str(value))


def _ends(rng: Random) -> Draft:
    word, n = rng.choice(_WORDS + _SHORT), rng.randint(2, 3)
    letter = {2: "second", 3: "third"}[n]
    some = rng.sample(_SHORT, 4)
    prompt, answer = rng.choice(
        (
            (f"What is the first letter of '{word}'?", word[0]),
            (f"What is the first letter of the word {word}?", word[0]),
            (f"Which letter does '{word}' start with?", word[0]),
            (f"What is the last letter of '{word}'?", word[-1]),
            (f"Which letter does {word} end with?", word[-1]),
            (f"What is the {letter} letter of '{word}'?", word[n - 1]),
            (f"What is the last word of this list: {', '.join(some)}?", some[-1]),
            (f"Which word comes first in this list: {', '.join(some)}?", some[0]),
        )
    )
    if len(answer) > 1:
        return Draft(prompt, "regex", rf"(?i)^\W*(?:the (?:last|first) word\b.*\bis )?\W*{answer}\b")
    return Draft(prompt, "regex", _letter(answer, word))


def _letter(letter: str, word: str) -> str:
    """The letter alone, or as the answer of a sentence; "a" as an article does not count."""
    both = f"[{letter}{letter.upper()}]"
    return rf"^\W*{both}\W*$|(?:(?:is|with)(?: the letter)?:? |letter )[\W_]*{both}(?!\w|'\w)|['\"“*]{both}['\"”*]"


def _reverse(rng: Random) -> Draft:
    word = rng.choice(_SHORT)
    long = rng.choice(_WORDS)
    some = rng.sample(_SHORT, 3)
    prompt, answer = rng.choice(
        (
            (f"Reverse the word '{word}'.", word[::-1]),
            (f"Write '{word}' backwards.", word[::-1]),
            (f"Spell {word} backwards.", any_of(word[::-1], "-".join(word[::-1]), " ".join(word[::-1]))),
            (f"What is '{long}' spelled in reverse?", long[::-1]),
            (
                f"Write these words in reverse order: {' '.join(some)}",
                any_of(*(s.join(some[::-1]) for s in (" ", ", "))),
            ),
        )
    )
    return Draft(prompt, "contains", answer)


def _order(rng: Random) -> Draft:
    some = rng.sample(_WORDS + _SHORT, rng.randint(3, 4))
    numbers = rng.sample(range(2, 99), 4)
    asked, answer = rng.choice(
        (
            (f"Put these words in alphabetical order: {', '.join(some)}", [str(x) for x in sorted(some)]),
            (f"Sort alphabetically: {' '.join(some)}", sorted(some)),
            (
                f"Sort these numbers from small to large: {', '.join(map(str, numbers))}",
                [str(x) for x in sorted(numbers)],
            ),
            (f"Which of these comes first in the dictionary: {', '.join(some)}?", sorted(some)[:1]),
        )
    )
    if len(answer) == 1:
        return Draft(asked, "regex", rf"(?i)^\W*{answer[0]}\b|\bis:? \W*{answer[0]}\b")
    between = r"\W+(?:\d+[.)]\s*\W*)?(?:and\s+)?" if answer[0].isalpha() else r"\D+"
    return Draft(asked, "regex", rf"(?i)(?<!\w){between.join(answer)}(?!\w)")


def _spell(rng: Random) -> Draft:
    word = rng.choice(_SHORT + _WORDS)
    ask = rng.choice(("Spell the word '{}' letter by letter.", "Spell '{}' with a hyphen between the letters."))
    return Draft(ask.format(word), "regex", r"(?i)(?<!\w)" + r"[\W_]+".join(word) + r"(?!\w)")


def _compare(rng: Random) -> Draft:
    one, other = rng.choice(_SHORT), rng.choice(_WORDS)
    first, second = rng.sample((one, other), 2)
    letter = rng.choice("aeiorst")
    prompt, answer = rng.choice(
        (
            (f"Which word is longer, '{first}' or '{second}'?", other),
            (f"Which word has fewer letters: {first} or {second}?", one),
            (f"Does the word '{other}' contain the letter '{letter}'? Answer yes or no.",
             "yes" if letter in other else "no"),
            (f"Do '{one}' and '{other}' start with the same letter? Say yes or no.",
             "yes" if one[0] == other[0] else "no"),
        )
    )  # fmt: skip
    if answer in ("yes", "no"):
        return Draft(prompt, "regex", rf"(?i)^\W*{answer}\b")
    loser = other if answer == one else one
    return Draft(prompt, "regex", rf"(?i)^(?:(?!\b{loser}\b).)*\b{answer}\b")


def _join(rng: Random) -> Draft:
    some = rng.sample(_WORDS, 3)
    one, other = rng.sample(_SHORT, 2)
    prompt, answer = rng.choice(
        (
            (
                f"Take the first letters of these words and put them together: {' '.join(some)}",
                "".join(w[0] for w in some),
            ),
            (f"Join the words '{one}' and '{other}' without a space.", one + other),
            (f"Write '{one}' in capital letters.", one.upper()),
            (f"Write the word '{one}' three times with commas between.", f"{one}, {one}, {one}"),
            (f"Add the letter s to the end of '{one}'.", f"{one}s"),
        )
    )
    return Draft(prompt, "contains", answer) if answer.islower() else Draft(prompt, "regex", rf"\b{answer}\b")
