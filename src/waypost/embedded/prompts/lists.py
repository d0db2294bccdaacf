"""Name a few of a kind; marked by finding enough different ones that are of that kind."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, table, words
from waypost.embedded.prompts.marks import several

# kind | members, without the plural's s; a star stands for any ending, an underscore for a space
_KINDS = table("""
    fruits | apple banana orange grape mango pear peach plum cherry cherries strawberr* blueberr* \
        raspberr* kiwi pineapple lemon lime melon watermelon apricot fig papaya avocado
    vegetables | carrot potato broccoli spinach cabbage onion tomato cucumber pea bean lettuce kale \
        pepper celery cauliflower beet garlic zucchini corn eggplant
    animals | dog cat horse cow sheep lion tiger elephant bear wolf monkey giraffe zebra rabbit goat pig deer fox \
        dolphin whale kangaroo penguin eagle snake frog
    farm animals | cow sheep goat pig hen chicken horse duck goose donkey turkey lamb
    birds | eagle sparrow owl parrot penguin swan robin crow duck goose hawk pigeon dove hummingbird finch falcon \
        seagull flamingo cardinal ostrich blue_jay bluejay
    colours | red blue green yellow orange purple violet pink brown black white grey gray indigo turquoise
    colours of the rainbow | red orange yellow green blue indigo violet purple
    European countries | france germany italy spain portugal greece austria poland hungary norway sweden finland \
        denmark ireland belgium switzerland netherlands england uk united_kingdom romania
    countries in Asia | china japan india thailand vietnam indonesia korea malaysia pakistan iran iraq nepal \
        philippines singapore bangladesh
    continents | africa asia europe north_america south_america australia oceania antarctica
    planets | mercury venus earth mars jupiter saturn uranus neptune
    days of the week | monday tuesday wednesday thursday friday saturday sunday
    months of the year | january february march april may june july august september october november december
    seasons | spring summer autumn fall winter
    musical instruments | guitar piano violin drum flute trumpet cello harp saxophone clarinet trombone bass
    sports | football soccer basketball tennis baseball volleyball hockey golf swimming rugby cricket running cycling
    languages | english spanish french german portuguese italian chinese mandarin japanese arabic russian hindi korean
    drinks | water tea coffee milk juice lemonade soda wine beer cola cocoa smoothie
    things in a kitchen | stove oven refrigerator fridge sink knife pot pan spoon fork plate microwave toaster \
        kettle blender dishwasher table cutting_board
    pieces of clothing | shirt trousers pants jeans dress skirt coat jacket sweater sock shoe hat scarf glove \
        blouse shorts
    parts of the body | head arm leg hand foot knee elbow shoulder nose ear eye mouth heart brain lung liver \
        stomach finger toe neck skin kidney
    big cities | london paris new_york tokyo berlin madrid rome moscow beijing mumbai delhi cairo sydney \
        los_angeles shanghai chicago istanbul
    metals | iron gold silver copper aluminum aluminium zinc tin lead nickel steel titanium platinum
    jobs | doctor teacher nurse engineer lawyer farmer chef pilot artist writer plumber accountant programmer \
        developer manager designer
    school subjects | math* history science geography english art music physics chemistry biology literature
    pets | dog cat hamster rabbit fish goldfish parrot guinea_pig turtle bird snake lizard
    tools | hammer screwdriver saw drill wrench pliers axe chisel shovel rake knife ruler level
    flowers | rose tulip daisy lily lilies sunflower orchid daffodil violet lavender carnation daisies
    trees | oak pine maple birch willow elm fir cedar beech palm spruce ash apple
    numbers below ten | one two three four five six seven eight nine 1 2 3 4 5 6 7 8 9
    means of transport | car bus train bicycle bike plane airplane ship boat subway tram motorcycle taxi truck \
        ferry walking
    insects | ant bee butterfl* fly flies mosquito beetle wasp grasshopper moth dragonfl* \
        cricket ladybug
    items to pack for a holiday | clothes clothing passport sunscreen toothbrush camera shoe charger phone hat \
        book ticket towel swimsuit map jacket medication toiletries
    Portuguese-speaking countries | brazil portugal angola mozambique cape_verde guinea-bissau timor
    ball games | football soccer basketball tennis baseball volleyball golf rugby cricket handball
""")
_COUNT = {2: "two", 3: "three", 4: "four"}


def draft(rng: Random) -> Draft:
    """One list."""
    kind, members = rng.choice(_KINDS)
    n = rng.choice((2, 3, 3, 4))
    number = rng.choice((_COUNT[n], _COUNT[n], str(n)))
    ask = rng.choice(
        (
            f"Name {number} {kind}.",
            f"List {number} {kind}.",
            f"Give me {number} examples of {kind}.",
            f"Can you name {number} {kind}?",
            f"Write down {number} {kind}, separated by commas.",
            f"Tell me {number} {kind}, please.",
            f"I need {number} {kind} for a quiz.",
            f"What are {number} {kind}?",
        )
    )
    return Draft(ask, "several", several(words(members), n))
