"""Put a label on a short text; the labels are in the prompt."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, lines, table, words

_GOOD = lines("""
    The hotel was spotless and the staff were wonderful.
    I love this phone, the battery lasts for days.
    Best soup I have ever eaten.
    The film made me laugh from start to finish.
    Delivery was quick and the lamp looks beautiful.
    A charming book, I could not put it down.
    Our guide was friendly and knew everything.
    This bicycle is a joy to ride.
    The concert was fantastic.
    I am very pleased with my new shoes.
    The children enjoyed every minute.
    Great value, I will buy it again.
""")
_BAD = lines("""
    The room was dirty and smelled of smoke.
    I hate this phone, it breaks all the time.
    The soup was cold and far too salty.
    The film was boring and much too long.
    The parcel arrived late and the lamp was broken.
    A dull book with a silly ending.
    Our guide was rude and kept us waiting.
    This bicycle fell apart after 2 days.
    The concert was a disaster.
    I regret buying these shoes.
    The children were scared and cried.
    A waste of money, never again.
""")
# text | topic
_TOPICS = table("""
    The striker scored twice in the last ten minutes. | sports
    She won the tennis final in three sets. | sports
    The team lost 3 to 1 but fans stayed until the end. | sports
    The marathon runner broke the national record. | sports
    Fry the onions gently, then add the tomatoes. | food
    The bakery on the corner sells warm bread. | food
    Her lentil soup needs lemon and pepper. | food
    Melt 200 g of butter and stir in the sugar. | food
    Heavy snow is expected in the mountains tonight. | weather
    Clouds in the morning, sun in the afternoon. | weather
    Temperatures will rise to 31 degrees by Friday. | weather
    A storm brought strong wind and 20 mm of rain. | weather
    The violinist played a slow waltz. | music
    Their new album has twelve songs. | music
    The choir sang without an orchestra. | music
    He learned to play the drums at school. | music
    The bank raised its interest rate by half a percent. | money
    Shares fell by 3 percent after the report. | money
    She put her savings into a fund. | money
    The tax on profits will go up next year. | money
    Our flight to Madrid was cancelled. | travel
    They took the night train to Vienna. | travel
    The hotel near the airport was full. | travel
    Pack light, the hostel has no lift. | travel
""")
_TOPIC_NAMES = words("sports food weather music money travel")
_LANGUAGE = table("""
    Bom dia, tudo bem? | Portuguese
    O gato dorme na cadeira. | Portuguese
    Eu gosto muito de café. | Portuguese
    Onde fica a estação? | Portuguese
    The cat sleeps on the chair. | English
    Where is the station? | English
    I like coffee very much. | English
    Nobody saw the letter. | English
    Le chat dort sur la chaise. | French
    Je voudrais un café. | French
    Où est la gare ? | French
    Die Katze schläft auf dem Stuhl. | German
    Ich trinke gern Kaffee. | German
    Wo ist der Bahnhof? | German
""")
_KINDS = table("""
    carrot | a vegetable | a vehicle
    bus | a vehicle | an animal
    tiger | an animal | a plant
    rose | a plant | an animal
    hammer | a tool | a fruit
    banana | a fruit | a tool
    violin | an instrument | a country
    Brazil | a country | an instrument
    eagle | a bird | a fish
    salmon | a fish | a bird
    chair | furniture | food
    bread | food | furniture
    shirt | clothing | a drink
    tea | a drink | clothing
    Paris | a city | a river
    copper | a metal | a fruit
    oak | a tree | an animal
    January | a month | a weekday
    Tuesday | a weekday | a month
    football | a sport | a job
    nurse | a job | a sport
    elbow | a body part | a vegetable
""")
_MAIL = table("""
    You have WON a free cruise! Click here to claim your prize now!!! | spam
    Make 5000 dollars a week from home, no work needed! | spam
    Cheap pills, 90% off, order today! | spam
    Your account is locked, send us your password at once. | spam
    Hot singles in your town want to meet you! | spam
    Congratulations, you are our 1,000,000th visitor! | spam
    Hi Paul, can we move the meeting to 3 pm on Tuesday? | not spam
    Mum, the train is late, I will be home at seven. | not spam
    Please find the minutes of yesterday's meeting attached. | not spam
    Your library books are due on Friday. | not spam
    Thanks for dinner, the children loved the cake. | not spam
    The dentist confirmed your appointment for Monday. | not spam
""")


def draft(rng: Random) -> Draft:
    """One text to label."""
    return rng.choice((_sentiment, _sentiment, _topic, _language, _kind, _kind, _spam))(rng)


def _label(prompt: str, right: str, wrong: tuple[str, ...]) -> Draft:
    """Right when the right label is named before any wrong one."""
    others = "|".join(wrong)
    return Draft(prompt, "regex", rf"(?is)^(?:(?!\b(?:{others})\b).)*?\b{right}\b")


def _sentiment(rng: Random) -> Draft:
    right, wrong = rng.sample(("positive", "negative"), 2)
    text = rng.choice(_GOOD if right == "positive" else _BAD)
    ask = rng.choice(
        (
            'Is this review positive or negative? "{}"',
            "Is the sentiment of this sentence positive or negative? {}",
            'What is the sentiment of the following sentence, positive or negative? "{}"',
            "Does this sentence have a positive or a negative sentiment? {}",
            "Classify the sentiment as positive or negative: {}",
            "Review: {}\nSentiment (positive or negative):",
            'Decide whether the writer is positive or negative. "{}" Answer with one word.',
            "Positive or negative? {}",
            "Label this text as positive or negative.\n\n{}",
        )
    )
    return _label(ask.format(text), right, (wrong,))


def _topic(rng: Random) -> Draft:
    text, right = rng.choice(_TOPICS)
    names = rng.sample([right, *rng.sample([t for t in _TOPIC_NAMES if t != right], 2)], 3)
    given = f"{names[0]}, {names[1]} or {names[2]}"
    ask = rng.choice(
        (
            f'What is this text about: {given}? "{text}"',
            f"Choose the topic ({given}): {text}",
            f"{text}\nTopic ({given}):",
        )
    )
    return _label(ask, right, tuple(n for n in names if n != right))


def _language(rng: Random) -> Draft:
    text, right = rng.choice(_LANGUAGE)
    wrong = rng.choice([n for n in ("English", "Portuguese", "French", "German") if n != right])
    one, other = rng.sample((right, wrong), 2)
    ask = rng.choice(
        (
            f'In which language is this sentence, {one} or {other}? "{text}"',
            f"Is this {one} or {other}? {text}",
            f"Do not translate this, only name its language ({one} or {other}): {text}",
        )
    )
    return _label(ask, right, (wrong,))


def _kind(rng: Random) -> Draft:
    thing, right, wrong = rng.choice(_KINDS)
    one, other = rng.sample((right, wrong), 2)
    ask = rng.choice(
        (
            f"Is '{thing}' {one} or {other}?",
            f"{thing}: {one} or {other}?",
            f"Which is it? {thing} is {one} / {other}.",
            f"Classify the word '{thing}' as {one} or {other}.",
        )
    )
    bare = [name.split(" ", 1)[-1] if name.startswith(("a ", "an ")) else name for name in (right, wrong)]
    return _label(ask, bare[0], (bare[1],))


def _spam(rng: Random) -> Draft:
    text, right = rng.choice(_MAIL)
    ask = rng.choice(
        (
            'Is this message spam? Answer yes or no. "{}"',
            "Message: {}\nIs it spam (yes or no)?",
            'Would you call this email spam, yes or no? "{}"',
        )
    )
    answer = "yes" if right == "spam" else "no"
    return Draft(ask.format(text), "regex", rf"(?i)^\W*{answer}\b")
