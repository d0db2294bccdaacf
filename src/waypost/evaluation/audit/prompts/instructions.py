"""What people ask an assistant to write or plan, from one line to a task of many conditions."""

from __future__ import annotations

from waypost.evaluation.audit.prompts.forms import Forms

FORMS = Forms(
    simple=(
        "Wish my {relative} a happy {occasion} in one line.",
        "Say thanks to my {relative} for the {gift}.",
        "Think up a name for a {pet}.",
        "Make a rhyme with {gift}.",
        "Remind my {relative} to bring the {gift}, in five words.",
    ),
    medium=(
        "Write an e-mail of about 120 words to my {relative}: decline the {occasion} kindly, give no reason, and offer "
        "another date.",
        "Plan a {occasion} for {number} guests and one {pet}: a shopping list, then the order of the day.",
        "Compare three kinds of {gift} as a present for my {relative} in a table of price, use and drawback.",
        "Summarise for my {relative} in four bullet points how to look after a {pet} for {number} days.",
    ),
    hard=(
        "Act as the editor of a trade journal. Write a feature of 900 words on the market for every kind of {gift}, "
        "with a thesis, two interviews that contradict each other, a table, no adjective in any heading, and a closing "
        "that revises the thesis; then review it as a hostile reader would and apply the review.",
        "Plan a {occasion} over {number} days in two cities for a {relative} in a wheelchair with a {pet}: three "
        "budgets, a fallback for rain and for a strike, every transfer timed, and a one-page summary in which no "
        "sentence has more than 12 words.",
        "Draft the constitution of a club of {number} owners of a {pet}: membership, votes with quorum, a conflict "
        "procedure that survives a hostile majority, and a commentary on each clause that names the case it prevents.",
        "Write the same apology for a lost {gift} to a {relative}, to a court and to a newspaper; keep the facts, "
        "vary only register and legal exposure, and annotate every difference.",
        "Write a sonnet on a {gift} that is also a valid will for my {relative}.",
    ),
    fill={
        "relative": ("aunt", "nephew", "grandfather", "stepsister", "godmother", "brother-in-law"),
        "occasion": ("birthday", "retirement", "housewarming", "graduation", "wedding anniversary", "name day"),
        "gift": ("fountain pen", "picnic basket", "kite", "teapot", "telescope", "chess set", "scarf", "hammock"),
        "pet": ("tortoise", "budgerigar", "ferret", "goldfish", "greyhound", "hedgehog"),
        "number": range(5, 40),
    },
)  # fmt: skip
