"""Short pieces of writing; marked by form, topic, English, and by not running in circles."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, lines, table, words
from waypost.embedded.prompts.marks import prose

# topic | how words on it begin
_TOPICS = table("""
    the moon | moon night sky light
    a lost dog | dog puppy bark paw tail
    autumn leaves | leaves leaf autumn fall tree
    the sea | sea wave ocean shore water
    an old lighthouse | lighthouse light sea ship shore
    a rainy day | rain umbrella cloud drop wet
    my grandmother | grandmother grandma she love
    a small village | village street house people
    coffee in the morning | coffee cup morning aroma
    two friends | friend together
    a train journey | train station rail window travel
    a garden | garden flower plant green
    winter | winter snow cold ice
    a brave mouse | mouse brave little
    the stars | star night sky shine
    a castle with 7 towers | castle tower king stone
    a football match | football match team goal ball game
    an empty house | house empty room door
    the colour blue | blue sky sea ocean
    a birthday party | birthday party cake friend gift
    a river | river water flow stream
    a robot that learns to cook | robot cook kitchen food
    music | music song sound melod note
    a baker in Lisbon | baker bread lisbon bak
    the last day of school | school summer day class friend
    a cat and 3 birds | cat bird
    spring | spring flower bloom green
    a market | market fruit stall people
    a kite | kite wind sky string fly
    an honest thief | thief honest stole steal
""")
_LETTERS = table("""
    a short email to my boss asking for a day off | day off work leave request
    a thank-you note to my neighbour | thank grateful appreciat kind
    a birthday message for my sister | birthday happy wish
    a message to a friend who moved away | friend miss new hope
    an invitation to a dinner on Saturday at 7 | dinner invit saturday join
    a polite email to a hotel about a lost scarf | scarf lost hotel room
    a note to my landlord about a broken window | window broken repair landlord fix
    a letter to the mayor about a dangerous road | road danger safe mayor traffic
    an apology to a customer for a late parcel | sorry apolog delay parcel late delivery
    a message that says I will be 15 minutes late | late minute sorry arriv
    a get-well card for my teacher | well recover soon hope feel
    a note to thank the translator of my book | translat thank book grateful
    an email to ask for the price of 20 chairs | chair price cost quote order
    a welcome message for a new colleague | welcome team join colleague
    a reminder that the rent is due | rent due pay remind
""")
_GOODS = words("bicycle umbrella teapot lamp backpack candle blanket notebook tent piano scarf clock")


def draft(rng: Random) -> Draft:
    """One piece to write."""
    return rng.choice((_piece, _piece, _letter, _advert))(rng)


def _piece(rng: Random) -> Draft:
    topic, stems = rng.choice(_TOPICS)
    ask = rng.choice(
        lines("""
            Write a short poem about {}.
            Write a short story about {}.
            Tell me a little story about {}.
            Describe {} in two sentences.
            Write a few sentences about {}.
            Write the beginning of a story about {}.
            Write one sentence about {}.
            I need a short text about {} for a postcard.
        """)
    )
    form = r"\S\n+\S" if "poem" in ask else ""
    return Draft(ask.format(topic), "regex", prose(words(stems), 25, also=form))


def _letter(rng: Random) -> Draft:
    what, stems = rng.choice(_LETTERS)
    ask = rng.choice(("Write {}.", "Please write {}.", "Help me write {}.", "Draft {}.", "Can you write {}?"))
    return Draft(ask.format(what), "regex", prose(words(stems), 40))


def _advert(rng: Random) -> Draft:
    thing, price = rng.choice(_GOODS), rng.randint(5, 90)
    ask = rng.choice(
        (
            f"Write a one-line advertisement for a {thing}.",
            f"Write a slogan for a shop that sells a {thing}.",
            f"I am selling my old {thing} for {price} dollars. Write a short advert.",
            f"Describe a beautiful {thing}.",
        )
    )
    return Draft(ask, "regex", prose([thing, "sale", "sell", "buy"] if "sell" not in ask else [thing], 20))
