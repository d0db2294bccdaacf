"""Mathematics, from a sum to a proof."""

from __future__ import annotations

from waypost.evaluation.audit.prompts.forms import Forms

FORMS = Forms(
    simple=(
        "{small} trays hold {few} eggs each. How many eggs is that?",
        "From {big} take away {small}.",
        "Is {big} an even number?",
        "Which is larger, {big} or {big2}?",
        "Count down from {big} by {few}: what comes first after {big}?",
    ),
    medium=(
        "A tank fills in {small} hours through one pipe and in {big} minutes through another. How long with both open?",
        "Solve for x: {few}x² + {big}x - {small} = 0, and check both roots.",
        "Find the least common multiple of {big}, {small} and {big2} and show the factorisation.",
        "A bag has {few} red and {small} blue balls. Two are drawn without replacement; what is the chance that both "
        "are red?",
        "What is the slope of the curve y = x³ - {few}x at x = {small}?",
    ),
    hard=(
        "Prove or refute: for every integer n above {few} the number n^{small} + {big} has a prime factor congruent to "
        "1 modulo {few}.",
        "Evaluate the integral of x^{few} / (e^x - 1) from 0 to infinity in closed form and justify every exchange of "
        "limits; then generalise {few} to a complex exponent.",
        "Let G be a group of order {big} · {few}. Classify all such G up to isomorphism; prove that none is missing.",
        "A random walk on the integers steps +{few} with probability 1/{small} and -1 otherwise. Derive the "
        "distribution of its maximum and the rate of the large deviations of its position after {big} steps.",
        "Show that the chromatic number of the Kneser graph with parameters {big} and {few} is what Lovász proved, and "
        "say where topology cannot be avoided.",
        "Is n^{few} + {big} prime infinitely often? Prove it.",
    ),
    fill={"few": range(2, 8), "small": range(8, 40), "big": range(41, 400)},
)
