"""Chat without a task; marked by whether the reply is English, long enough, on topic and no refusal."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, lines, table, words
from waypost.embedded.prompts.marks import prose

# what the person says | words of which the reply should have one (a part of a word is enough)
_SAID = table("""
    Hello! | hello hi hey greet help welcome
    Hi there, how are you? | hello hi hey well good fine great help
    Good morning! | morning hello hi day
    Good evening, nice to meet you. | evening hello hi nice meet pleasure
    Thank you so much for your help! | welcome glad happy help pleasure
    Thanks, that was very kind of you. | welcome glad happy help pleasure kind
    Goodbye, see you tomorrow. | bye goodbye see tomorrow care day
    Good night, I am going to bed. | night sleep rest dream
    I had a terrible day at work. | sorry hear day work tough hard rough stress difficult better
    I am so happy, I passed my exam! | congrat great proud happy well wonderful exam
    I feel lonely this evening. | sorry lonely feel friend talk alone here
    I am nervous about my job interview tomorrow. | interview nervous luck confiden prepar calm practice normal
    My grandmother is ill and I am worried. | sorry hope better grandmother worr care hear
    My dog died yesterday. | sorry loss dog hear grie
    I just moved to a new town and know nobody. | new town people meet friend place neighb
    We are going to the beach on Saturday! | beach fun sun enjoy sea sand great swim
    It has been raining for a week. | rain weather week umbrella wet indoor sun
    I can't sleep. | sleep relax calm rest night bed
    I am bored. What should I do? | try read walk watch play hobby book game music
    Do you like music? | music song listen enjoy like
    What is your favourite season? | season summer spring winter autumn fall favorite
    Do you have any hobbies? | hobb read enjoy music like play
    Tell me something nice. | you nice wonderful great beautiful kind smile love
    Can you cheer me up? | sure here you smile great sorry hope happy thing
    Wish me luck! | luck best you hope
    It's my birthday today! | birthday happy celebrat
    My sister had a baby this morning! | congrat baby sister happy wonderful
    I am hungry. | eat food hungry snack meal
    I love the sea. | sea ocean water wave beach beautiful love
    I made a cake and it burned. | cake oven bak burn sorry
    I broke my favourite cup. | sorry cup favo break broke replace glue
    My plane is four hours late. | flight plane sorry wait hour delay late airport
    I finally finished painting the kitchen. | kitchen paint great congrat color colour
    What do you think of Mondays? | monday week day start
    My English is not very good, sorry. | english fine okay sorry help learn understand language
    I forgot my friend's birthday. | friend birthday sorry apolog forgot
    I want to thank my teacher. What could I write? | thank teach grateful appreciat dear
    I am learning Portuguese and it is hard. | portuguese language learn practi
    My computer is so slow today. | computer slow restart program memory file speed
    I won 50 dollars in a raffle! | congrat great win won luck dollar
    I quit smoking 30 days ago. | congrat great proud smok health day keep
    I am 100 percent sure it will be a good year. | year good great hope positiv confiden wonderful
    You made me smile. | glad happy smile you
    How was your day? | day good great well fine
    What's up? | up help hello hi doing not
    Have you got any plans for the weekend? | weekend plan friend time relax
    I am in love! | love wonderful happy great feel
    My friends are coming for dinner tonight. | dinner friend enjoy fun meal cook great
""")
_PETS = words("cats dogs rabbits parrots horses goldfish hens hamsters turtles ponies")
_PLACES = words("Lisbon Paris Tokyo Rome London Berlin Vienna Madrid Dublin Oslo Prague Athens")
_FOODS = words("pizza soup pancakes rice chocolate bread salad curry pasta cheese mangoes noodles")
_DOING = lines("""
    gardening
    swimming
    painting
    chess
    cooking
    dancing
    running
    knitting
    reading
    fishing
    photography
    singing
""")


def draft(rng: Random) -> Draft:
    """One remark of a person who wants to talk."""
    said, about = rng.choice((_plain, _pets, _trip, _likes, _numbers))(rng)
    return Draft(said, "regex", prose(words(about)))


def _plain(rng: Random) -> tuple[str, str]:
    said, about = rng.choice(_SAID)
    return said, about


def _pets(rng: Random) -> tuple[str, str]:
    one, other = rng.sample(_PETS, 2)
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    said = rng.choice(
        (
            f"I have {a} {one} and {b} {other}, say something nice about them.",
            f"We just got {a} {one}! Any nice names?",
            f"My {a} {one} woke me up at {b} in the morning again.",
            f"Do you prefer {one} or {other}?",
            f"I grew up with {a} {one}. They were my best friends.",
        )
    )
    stem, other_stem = one[:4].rstrip("s"), other[:4].rstrip("s")
    return said, f"{stem} {other_stem} pet animal friend love name they"


def _trip(rng: Random) -> tuple[str, str]:
    place, days = rng.choice(_PLACES), rng.randint(3, 20)
    said = rng.choice(
        (
            f"I am going to {place} for {days} days!",
            f"I miss {place}.",
            f"We came back from {place} yesterday. It was lovely.",
            f"Have you ever been to {place}?",
            f"I would love to live in {place} one day.",
        )
    )
    return said, f"{place} city trip travel visit place enjoy"


def _likes(rng: Random) -> tuple[str, str]:
    food, hobby = rng.choice(_FOODS), rng.choice(_DOING)
    said, about = rng.choice(
        (
            (f"I really love {food}.", f"{food[:5]} food delicious taste eat love"),
            (f"I could eat {food} every day.", f"{food[:5]} food delicious taste eat"),
            (f"Do you like {food}?", f"{food[:5]} food delicious taste eat like"),
            (f"I have started {hobby} and I enjoy it.", f"{hobby[:5]} great enjoy hobby fun hear"),
            (f"My friend says {hobby} is boring. I don't agree.", f"{hobby[:5]} friend opinion enjoy fun agree"),
            (f"After work I relax with {hobby}.", f"{hobby[:5]} relax enjoy great work"),
        )
    )
    return said, about


def _numbers(rng: Random) -> tuple[str, str]:
    """Numbers and units that want no sum."""
    a, b = rng.randint(3, 9), rng.randint(20, 60)
    said, about = rng.choice(
        (
            (f"I ran {a} km today in {b} minutes and feel great!", "run ran great km congrat feel well"),
            (f"My son is {a} years old and already reads.", "son read great book child wonderful"),
            (f"I turned {b} today and I feel old.", "old age birthday happy feel year"),
            (f"It is {b - 10} degrees outside, I love it.", "degree weather outside warm love enjoy temperature"),
            (f"I saved {b}0 dollars for my holiday.", "holiday sav great dollar money trip vacation"),
            (f"We have been married for {b} years today.", "congrat anniversary marri year happy love"),
            ("I translated my first poem today and I am proud.", "poem proud congrat great translat"),
            (f"Only {a} days until my holiday!", "holiday day enjoy excit vacation"),
            (f"I have read {b} books this year.", "book read great year"),
        )
    )
    return said, about
