"""Answers whose form is asked for: one word, yes or no, so many words, a given start."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, table, words

_TOPICS = words("summer dogs rain coffee books cities trees winter music friendship bread mountains sleep chess")
_WORDS = words("lantern window river garden bottle orange piano castle mirror bridge candle sailor table forest kite")
# question | answer
_YES_NO = table("""
    Is the Sun a star? | yes
    Is the Earth flat? | no
    Can penguins fly? | no
    Is water wet? | yes
    Do cats bark? | no
    Is Paris in France? | yes
    Is Brazil in Europe? | no
    Do fish live in water? | yes
    Is ice hot? | no
    Can people breathe under water without help? | no
    Is gold a metal? | yes
    Is a tomato a stone? | no
    Is Monday before Tuesday? | yes
    Are elephants bigger than mice? | yes
    Is chocolate a vegetable? | no
    Does the week have seven days? | yes
    Is Portuguese spoken in Brazil? | yes
    Is Spanish the main language of Japan? | no
    Is 50 percent the same as one half? | yes
    Is a kilometre longer than a mile? | no
    Do cows give milk? | yes
    Is the Moon made of cheese? | no
    Is London the capital of England? | yes
    Do triangles have four sides? | no
    Can birds sing? | yes
    Is fire cold? | no
    Does a bicycle have an engine? | no
    Is snow white? | yes
    Is a whale a fish? | no
    Do bees make honey? | yes
""")
_ONE_WORD = table("""
    What colour is snow? | white
    What colour is blood? | red
    What animal says "meow"? | cat
    What animal says "moo"? | cow
    What do you call frozen rain in winter? | snow || hail || sleet
    What is the capital of Italy? | Rome
    What is the capital of Spain? | Madrid
    What is the opposite of yes? | no
    What is the opposite of left? | right
    Which season is the hottest? | summer
    Which season is the coldest? | winter
    What do cows drink? | water
    What is the first day after Sunday? | Monday
    What shape is a ball? | round || sphere || spherical
    Which planet do we live on? | Earth
    What is the yellow part of an egg called? | yolk
    In what language is "bonjour"? | French
    In what language is "obrigado"? | Portuguese
""")
_SAY_YES = (
    "Answer yes or no: {}",
    "{} Answer only yes or no.",
    "{} Reply with yes or no.",
    "Yes or no? {}",
    "{} (yes/no)",
)
_SAY_ONE = (
    "{} Answer with one word.",
    "In one word: {}",
    "Answer with a single word: {}",
    "{} One word only.",
)


def draft(rng: Random) -> Draft:
    """One task with a form."""
    return rng.choice((_yes_no, _one_word, _words, _start, _start, _use, _use, _repeat))(rng)


def _yes_no(rng: Random) -> Draft:
    question, answer = rng.choice(_YES_NO)
    return Draft(rng.choice(_SAY_YES).format(question), "regex", rf"(?i)^\W*{answer}\b")


def _one_word(rng: Random) -> Draft:
    question, answer = rng.choice(_ONE_WORD)
    one = "|".join(answer.split(" || "))
    # Three words before it are forgiven ("It is white"): the answer is short, as it was meant to be.
    return Draft(rng.choice(_SAY_ONE).format(question), "regex", rf"(?i)^\W*(?:\w+\W+){{0,3}}(?:{one})\W*$")


def _words(rng: Random) -> Draft:
    n, topic = rng.randint(3, 6), rng.choice(_TOPICS)
    ask = rng.choice((f"Describe {topic} in exactly {n} words.", f"Write exactly {n} words about {topic}."))
    return Draft(ask, "regex", rf"^\S+(?:\s+\S+){{{n - 1}}}$")


def _start(rng: Random) -> Draft:
    word, topic = rng.choice(_WORDS), rng.choice(_TOPICS)
    first = rng.choice(("Well", "Today", "Once", "Perhaps", "Imagine", "Honestly"))
    prompt, wanted = rng.choice(
        (
            (f"Write a sentence about {topic} that starts with the word '{first}'.", rf"(?i)^\W*{first}\b"),
            (f"Begin your answer with '{first}' and say something about {topic}.", rf"(?i)^\W*{first}\b"),
            (f"Say something about {topic} and end with the word '{word}'.", rf"(?i)\b{word}\W*$"),
            (f"Ask me a question about {topic}.", r"\?"),
        )
    )
    return Draft(prompt, "regex", wanted)


def _use(rng: Random) -> Draft:
    one, other = rng.sample(_WORDS, 2)
    prompt, wanted = rng.choice(
        (
            (f"Write a sentence with the word '{one}'.", rf"(?is)^(?=.{{15,}})(?=.*\b{one})"),
            (f"Use '{one}' and '{other}' in one sentence.", rf"(?is)^(?=.{{15,}})(?=.*\b{one})(?=.*\b{other})"),
            (f"Make up a short title for a story about a {one}.", rf"(?is)^(?=.{{4,90}}$).*\b{one}"),
            (f"Write two sentences about a {one}.", rf"(?is)^(?=.*\b{one})(?:[^.!?]+[.!?]){{2}}\W*$"),
        )
    )
    return Draft(prompt, "regex", wanted)


def _repeat(rng: Random) -> Draft:
    one, other, n = rng.choice(_WORDS), rng.choice(_WORDS), rng.randint(2, 5)
    digit = rng.randint(2, 99)
    between = r"[\W_]+"
    prompt, wanted = rng.choice(
        (
            (f"Say the word '{one}' and nothing else.", rf"(?i)^\W*{one}\W*$"),
            (f"Repeat after me: the {one} and the {other}", rf"(?i)\bthe {one} and the {other}\b"),
            (f"Write the word '{one}' {n} times.", rf"(?i)^\W*{between.join([one] * n)}\W*$"),
            (f"Output only the number {digit}.", rf"^\W*{digit}\W*$"),
            (f"Reply with the word {one} in capital letters.", rf"^\W*{one.upper()}\W*$"),
            (f'Copy this text exactly: "{one} {digit} {other}"', rf"\b{one} {digit} {other}\b"),
        )
    )
    return Draft(prompt, "regex", wanted)
