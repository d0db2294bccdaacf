"""Translation, from a word to a contract or a poem."""

from __future__ import annotations

from waypost.evaluation.audit.prompts.forms import Forms

FORMS = Forms(
    simple=(
        "What is the {language} word for {noun}?",
        "Give me {noun} in {language}.",
        "{noun}: how do they say that in {language}?",
        "I forgot the {language} for {noun}, remind me.",
        "{language} for {noun} and for {noun2}?",
    ),
    medium=(
        "Put this note to my landlord into {language}: the {noun} broke on {day} and we still wait for the {trade}.",
        "Translate into {language}, keeping the polite tone: we would be glad to see you on {day} about the {noun}.",
        "Render in {language}: nobody told the {trade} that the {noun} had been moved before {day}.",
        "A {trade} left this message, please give it to me in {language}: bring the {noun} on {day} or call me first.",
    ),
    hard=(
        "Translate this clause into legally idiomatic {language} and note every term without an equivalent: the lessee "
        "shall indemnify the lessor against any loss of the {noun} arising otherwise than by fair wear and tear, "
        "notwithstanding notice given on {day}.",
        "Translate the following four lines of verse into {language}, keeping metre and rhyme, and explain what was "
        "lost: a {noun} in the rain / that waits for {day} again / has less of time than I / and yet it asks not why.",
        "Render this pun in {language} so that it still works, and defend your choice against a literal version: the "
        "{trade} who lost the {noun} said that it would come to light on {day}.",
        "Translate from {language} dialect of the 19th century into modern {language2}: a letter in which a {trade} "
        "explains a {noun}, with irony that must survive; first reconstruct a plausible source text for {day}.",
        "Put the {noun} riddle that every {trade} knows into rhymed {language}.",
    ),
    fill={
        "language": ("French", "German", "Italian", "Dutch", "Swedish", "Polish", "Turkish", "Japanese", "Greek",
                     "Spanish", "Portuguese", "Finnish"),
        "noun": ("wheelbarrow", "lantern", "kettle", "saddle", "ladder", "mattress", "hinge", "candlestick", "bellows",
                 "radiator", "doormat", "thimble"),
        "day": ("Monday", "Thursday", "the last Sunday of May", "the first of March"),
        "trade": ("plumber", "locksmith", "roofer", "upholsterer", "glazier"),
    },
)  # fmt: skip
