"""Easy common sense with options A to D."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, table, words

_KINDS = {
    "a fruit": words("apple banana cherry grape lemon mango orange peach pear plum"),
    "a vegetable": words("carrot potato spinach cabbage broccoli leek turnip onion"),
    "an animal": words("tiger rabbit camel goat otter wolf zebra dolphin"),
    "a bird": words("eagle sparrow owl parrot penguin swan robin"),
    "a colour": words("red purple green turquoise yellow brown"),
    "a tool": words("hammer saw screwdriver drill wrench pliers"),
    "a musical instrument": words("violin piano trumpet flute drum cello"),
    "a vehicle": words("bus lorry tram motorcycle van ferry"),
    "a piece of clothing": words("shirt sock scarf coat trousers glove"),
    "a part of the body": words("elbow knee shoulder ankle chin thumb"),
    "a country": words("Brazil Norway Kenya Japan Greece Peru"),
    "a drink": words("tea juice lemonade coffee milk cocoa"),
    "a metal": words("iron copper silver tin zinc nickel"),
    "a piece of furniture": words("sofa wardrobe table chair bookcase desk"),
    "a sport": words("tennis hockey basketball swimming volleyball judo"),
    "a job": words("plumber lawyer nurse farmer pilot tailor"),
}
# question | right | wrong | wrong | wrong
_QUIZ = table("""
    What do you use to cut paper? | scissors | a spoon | a pillow | a cup
    Where do fish live? | in water | in trees | in the sky | in books
    What do you wear on your feet? | shoes | gloves | a hat | a scarf
    What do people use an umbrella for? | to stay dry | to cook rice | to write letters | to dig holes
    What happens to ice in the sun? | it melts | it grows | it burns | it sings
    What would you do if you were thirsty? | drink water | eat salt | comb your hair | paint a wall
    Where would you borrow a book? | at a library | at a bakery | at a petrol station | at a stadium
    Which of these is the heaviest? | an elephant | a mouse | a chair | a loaf of bread
    Which of these is the smallest? | an ant | a dog | a horse | a whale
    What do you need to see in a dark room? | a lamp | a fork | a towel | a bell
    What is a clock for? | telling the time | boiling eggs | cutting grass | washing clothes
    What do firefighters do? | put out fires | bake bread | teach maths | repair teeth
    When do most people sleep? | at night | at noon | during lunch | while driving
    What should you do at a red traffic light? | stop | go faster | get out and leave | drive on
    Why wear coats in winter? | to keep warm | to swim faster | to look at stars | to feed birds
    Which of these grows on a tree? | an apple | a potato | a stone | a shoe
    What do you put on a letter before you send it? | a stamp | a shoe | butter | a candle
    What does a gardener look after? | plants | engines | teeth | money
    Which of these can you hear? | music | a colour | a shadow | the smell of soap
    What keeps food cold? | a refrigerator | an oven | a carpet | a window
    What do you do with a broom? | sweep the floor | write a poem | call a friend | fry an egg
    What does a baby do when it is hungry? | cries | drives to a shop | reads the news | cuts wood
    Which of these floats on water? | a piece of wood | a brick | an iron nail | a coin
    Which of these is used for writing? | a pencil | a plate | a blanket | a bucket
    What do you find in a wallet? | money | soup | a river | a horse
    What is the best way to learn a language? | practise daily | sleep all day | never speak | burn the book
    A glass falls on a stone floor. What will probably happen? | it breaks | it flies | it becomes larger | it sings
    Anna lost her keys and nobody is at home. What can't she do? | open the door | walk | call a friend | wait
    Your friend has a fever. What can he do? | rest and see a doctor | run a marathon | eat ice for a week | go skiing
    The plants look dry. What do they need? | water | a haircut | a passport | a blanket
    What would a translator need most? | to know two languages | a strong arm | a driving licence | a large garden
    Which word is a number? | seven | green | table | slowly
    Which is the same as one half? | 50 percent | 5 percent | 15 percent | 100 percent
    Which of these lasts longest? | a year | a minute | an hour | a week
    Which of these is the longest distance? | a kilometre | a centimetre | a metre | a millimetre
    What does "bom dia" mean? | good morning | good night | thank you | see you later
""")
_ENDINGS = (
    "Answer with the letter.",
    "Answer with a single letter.",
    "Which letter is right?",
    "Choose A, B, C or D.",
)


def draft(rng: Random) -> Draft:
    """One question with four options."""
    question, right, *wrong = rng.choice((_quiz, _kind, _kind, _odd))(rng)
    options = rng.sample((right, *wrong), 4)
    mark = rng.choice(("{}) {}", "{}) {}", "{}. {}", "({}) {}"))
    listed = rng.choice(("\n", "\n", "  ")).join(mark.format(x, o) for x, o in zip("ABCD", options, strict=True))
    ask = f"{question}\n{listed}\n{rng.choice(_ENDINGS)}"
    return Draft(ask, "choice", "ABCD"[options.index(right)])


def _quiz(rng: Random) -> tuple[str, ...]:
    return rng.choice(_QUIZ)


def _kind(rng: Random) -> tuple[str, ...]:
    kind, *others = rng.sample(sorted(_KINDS), 4)
    if {kind, *others} >= {"an animal", "a bird"}:  # a bird is an animal
        return _quiz(rng)
    ask = rng.choice(("Which of these is {}?", "Which one is {}?", "Only one of these is {}. Which?"))
    return ask.format(kind), *(rng.choice(_KINDS[k]) for k in (kind, *others))


def _odd(rng: Random) -> tuple[str, ...]:
    kind, other = rng.sample(sorted(_KINDS), 2)
    if {kind, other} == {"an animal", "a bird"}:
        return _quiz(rng)
    ask = rng.choice(("Which of these is not {}?", "Three of these are alike. Which is not {}?"))
    return ask.format(kind), rng.choice(_KINDS[other]), *rng.sample(_KINDS[kind], 3)
