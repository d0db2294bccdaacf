"""General knowledge, from a single fact to a weighed argument."""

from __future__ import annotations

from waypost.evaluation.audit.prompts.forms import Forms

FORMS = Forms(
    simple=(
        "On which continent does one find {country}?",
        "Is {country} on an island?",
        "Does a {animal} lay eggs?",
        "Roughly how long does a {animal} live?",
        "Is a {animal} a mammal?",
        "Which sea is nearest to {country}?",
        "Is {country} further north than {country2}?",
    ),
    medium=(
        "Why did {event} weaken the towns of {country}?",
        "How does a {animal} find its way in the dark, and what does it do in winter?",
        "What were the main consequences of {event} for trade?",
        "Describe how {mechanism} works, with one everyday example.",
        "What do {mechanism} and the sight of a {animal} have in common?",
    ),
    hard=(
        "Weigh the case that {event} was caused by climate against the case that it was caused by debt; cite the "
        "strongest evidence for each and say which archive could settle the matter.",
        "Reconstruct what was known of {mechanism} before 1900, which experiments misled its students, and whether the "
        "modern account would have been accepted on the evidence of that time.",
        "Could {event} have happened in {country} instead? Argue from institutions, not from persons, and name the "
        "observation that would refute you.",
        "Criticise the claim that the evolution of the {animal} is explained by {mechanism}; separate what is "
        "measured, what is modelled and what is only told.",
        "Would we have heard of {event} without {mechanism}?",
    ),
    fill={
        "country": ("Madagascar", "Uruguay", "Estonia", "Nepal", "Malta", "Gabon", "Laos", "Iceland", "Bolivia"),
        "animal": ("platypus", "heron", "salamander", "badger", "porpoise", "bat", "tortoise", "lynx", "gecko", "owl"),
        "event": ("the fall of the Hanseatic League", "the collapse of the Bronze Age palaces", "the Little Ice Age",
                  "the South Sea Bubble", "the end of the Silk Road", "the Congress of Vienna"),
        "mechanism": ("superconductivity", "inflation targeting", "plate tectonics", "herd immunity", "polarised light",
                      "continental drift", "natural selection", "echolocation"),
    },
)  # fmt: skip
