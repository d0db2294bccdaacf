"""Sentences to be changed in a way that can be checked."""

from __future__ import annotations

import re
from random import Random

from waypost.embedded.prompts.draft import Draft, any_of, lines, table, words

# subject | present | past | object | question's auxiliary verb form
_SENTENCES = table("""
    I | walk | walked | to school | walk
    We | play | played | cards after dinner | play
    They | visit | visited | the old castle | visit
    You | clean | cleaned | the kitchen | clean
    I | write | wrote | a long letter | write
    We | eat | ate | soup for lunch | eat
    They | buy | bought | fresh bread | buy
    You | drink | drank | two cups of tea | drink
    I | see | saw | a small bird | see
    We | sing | sang | an old song | sing
    They | paint | painted | the wooden door | paint
    I | take | took | the early train | take
    You | make | made | a good plan | make
    We | watch | watched | the stars | watch
    They | run | ran | along the river | run
    I | lose | lost | my black gloves | lose
    We | sell | sold | 12 red apples | sell
    They | find | found | a gold coin | find
    You | open | opened | the blue box | open
    I | cook | cooked | rice with beans | cook
    We | swim | swam | in the cold lake | swim
    They | grow | grew | tomatoes in the garden | grow
""")
_PLURALS = table("""
    cat | cats
    box | boxes
    city | cities
    child | children
    leaf | leaves
    tooth | teeth
    foot | feet
    mouse | mice
    baby | babies
    bus | buses
    knife | knives
    woman | women
    tomato | tomatoes
    church | churches
    story | stories
    key | keys
    wolf | wolves
    dish | dishes
""")
_CONTRACTIONS = table("""
    I do not know the answer. | I don't know the answer.
    It is raining again. | It's raining again.
    We are not ready yet. | We aren't ready yet || We're not ready yet
    They will come later. | They'll come later.
    You should not worry. | You shouldn't worry.
    I am at the station. | I'm at the station.
    She cannot swim. | She can't swim.
    That is my coat. | That's my coat.
    He does not like fish. | He doesn't like fish.
    I have finished the book. | I've finished the book.
""")
_RUDE = table("""
    Give me the salt. | salt
    Open the window. | window
    Send me the report. | report
    Be quiet. | quiet || voice || noise || silence
    Move your car. | car
    Close the door. | door
    Tell me the time. | time
    Bring me a chair. | chair
    Wait outside. | outside
    Call me back. | call
    Show me your ticket. | ticket
    Lend me 5 dollars. | dollars || $5
    Help me with the boxes. | help || boxes
    Turn down the music. | music
    Answer my question. | question
    Pass me the bread. | bread
""")
_WRONG = table("""
    He have two dogs. | He has two dogs
    She go to school every day. | She goes to school every day
    They was late yesterday. | They were late yesterday
    I has a cold. | I have a cold
    We is very happy. | We are very happy
    The cats is hungry. | The cats are hungry
    He don't like tea. | He doesn't like tea || He does not like tea
    She have a red car. | She has a red car
    I seen him last week. | I saw him last week || I have seen him last week
    There is five apples on the table. | There are five apples on the table
    My brother work in a bank. | My brother works in a bank
    You was right. | You were right
    The children plays in the park. | The children play in the park
    I am agree with you. | I agree with you
    She can sings well. | She can sing well
    He buyed a new coat. | He bought a new coat
    We goed home at six. | We went home at six
    This are my shoes. | These are my shoes
    It rain a lot in April. | It rains a lot in April
    Yesterday I eat fish. | Yesterday I ate fish
""")
_ADJECTIVES = words("old small red quiet heavy lovely broken cold clever young green tired")
_NOUNS = words("house dog chair boat teacher garden bicycle ring clock farmer river letter")
_VERBS = table("""
    stands near the | gate
    waited behind the | church
    belongs to the | mayor
    was sold to a | friend
    appears in every | story
    looked at the | moon
""")
_UPPER = lines("""
    Write this sentence in capital letters: {}
    Put the following in uppercase: {}
    Rewrite in all caps: {}
    Change this to upper case: "{}"
""")
_PAST = lines("""
    Put this sentence into the past tense: {}
    Rewrite in the past tense: {}
    Change the verb to the past: "{}"
    How would you say this about yesterday, in the simple past? {}
""")
_POLITE = lines("""
    Make this more polite: {}
    Rewrite this politely: "{}"
    How can I say this in a friendlier way? {}
    Turn this order into a polite request: {}
""")


def draft(rng: Random) -> Draft:
    """One sentence to change."""
    return rng.choice((_case, _case, _past, _past, _polite, _polite, _without, _swapped, _short, _plural, _question))(
        rng
    )


def _simple(rng: Random) -> tuple[str, str]:
    """A sentence in the present and in the past."""
    who, now, then, what, _ = rng.choice(_SENTENCES)
    return f"{who} {now} {what}.", f"{who} {then} {what}."


def _described(rng: Random) -> tuple[str, str, str, str]:
    """A sentence and its adjective, noun and last word."""
    how, what, (does, last) = rng.choice(_ADJECTIVES), rng.choice(_NOUNS), rng.choice(_VERBS)
    return f"The {how} {what} {does} {last}.", how, what, last


def _case(rng: Random) -> Draft:
    sentence = rng.choice((_simple(rng)[0], _described(rng)[0]))
    if rng.random() < 0.75:
        return Draft(rng.choice(_UPPER).format(sentence), "regex", re.escape(sentence.rstrip(".").upper()))
    ask = f"Write this in lower case only: {sentence.upper()}"
    return Draft(ask, "regex", re.escape(sentence.rstrip(".").lower()))


def _past(rng: Random) -> Draft:
    now, then = _simple(rng)
    return Draft(rng.choice(_PAST).format(now), "contains", then.rstrip("."))


def _polite(rng: Random) -> Draft:
    rude, content = rng.choice(_RUDE)
    about = "|".join(re.escape(word) for word in content.split(" || "))
    courteous = r"please|could|would|may i|might|mind|kindly|appreciate|grateful"
    wanted = rf"(?is)(?=.*\b(?:{courteous})\b)(?=.*(?:{about}))"
    return Draft(rng.choice(_POLITE).format(rude), "regex", wanted)


def _without(rng: Random) -> Draft:
    sentence, how, *_ = _described(rng)
    ask = rng.choice(
        (
            f"Remove the word '{how}' from this sentence: {sentence}",
            f"Write this sentence without the adjective: {sentence}",
            f"Delete '{how}': {sentence}",
        )
    )
    return Draft(ask, "contains", sentence.replace(f"{how} ", "").rstrip("."))


def _swapped(rng: Random) -> Draft:
    sentence, how, what, last = _described(rng)
    old, new = rng.choice(
        (
            (what, rng.choice([n for n in _NOUNS if n != what])),
            (how, rng.choice([a for a in _ADJECTIVES if a != how])),
            (last, "king"),
        )
    )
    ask = rng.choice(
        (
            f"Replace '{old}' with '{new}' in this sentence: {sentence}",
            f'In the sentence "{sentence}", change {old} to {new}.',
        )
    )
    return Draft(ask, "contains", sentence.replace(old, new).rstrip("."))


def _short(rng: Random) -> Draft:
    full, short = rng.choice(_CONTRACTIONS)
    ask = rng.choice(("Use a contraction in this sentence: {}", "Shorten with an apostrophe: {}"))
    return Draft(ask.format(full), "contains", short)


def _plural(rng: Random) -> Draft:
    one, many = rng.choice(_PLURALS)
    how = rng.choice(_ADJECTIVES)
    prompt, answer = rng.choice(
        (
            (f"What is the plural of '{one}'?", any_of(many)),
            (f"Write the plural of {one}.", any_of(many)),
            (f"Make this plural: one {how} {one}", any_of(f"{how} {many}")),
            (f"Rewrite with 'two' in place of 'one': one {how} {one}", any_of(f"two {how} {many}")),
        )
    )
    return Draft(prompt, "contains", answer)


def _correct(rng: Random) -> Draft:
    wrong, right = rng.choice(_WRONG)
    ask = rng.choice(
        (
            "Correct this sentence: {}",
            "Correct the grammar: {}",
            'Find and fix the mistake: "{}"',
            "What is the correct form of this sentence? {}",
        )
    )
    return Draft(ask.format(wrong), "contains", right)


def _question(rng: Random) -> Draft:
    who, now, then, what, base = rng.choice(_SENTENCES)
    me = {"I": "I", "We": "we", "They": "they", "You": "you"}[who]
    prompt, answer = rng.choice(
        (
            (f"Turn this into a question: {who} {now} {what}.",
             any_of(f"Do {me} {base} {what}", f"Did {me} {base} {what}")),
            (f"Make this sentence negative: {who} {now} {what}.",
             any_of(f"{who} do not {base} {what}", f"{who} don't {base} {what}")),
            (f"Put this into the future with 'will': {who} {now} {what}.", any_of(f"{who} will {base} {what}")),
            (f"Put this into the present tense: {who} {then} {what}.", any_of(f"{who} {now} {what}")),
        )
    )  # fmt: skip
    return Draft(prompt, "contains", answer)
