"""Short facts that many people know, some in words that belong to other groups (translate, percent, numbers)."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, any_of, lines, table, tail

_CAPITALS = table("""
    France | Paris | Europe
    Germany | Berlin | Europe
    Italy | Rome | Europe
    Spain | Madrid | Europe
    Portugal | Lisbon | Europe
    Greece | Athens | Europe
    Austria | Vienna | Europe
    Poland | Warsaw | Europe
    Hungary | Budapest | Europe
    Norway | Oslo | Europe
    Sweden | Stockholm | Europe
    Finland | Helsinki | Europe
    Denmark | Copenhagen | Europe
    Ireland | Dublin | Europe
    Belgium | Brussels | Europe
    Ukraine | Kyiv | Europe
    Japan | Tokyo | Asia
    China | Beijing | Asia
    India | New Delhi | Asia
    Thailand | Bangkok | Asia
    Vietnam | Hanoi | Asia
    Iran | Tehran | Asia
    Iraq | Baghdad | Asia
    South Korea | Seoul | Asia
    Egypt | Cairo | Africa
    Kenya | Nairobi | Africa
    Ethiopia | Addis Ababa | Africa
    Ghana | Accra | Africa
    Morocco | Rabat | Africa
    Cuba | Havana | North America
    Canada | Ottawa | North America
    Mexico | Mexico City | North America
    Peru | Lima | South America
    Chile | Santiago | South America
    Argentina | Buenos Aires | South America
    Colombia | Bogota | South America
""")
_OPPOSITES = table("""
    hot | cold
    big | small
    fast | slow
    up | down
    day | night
    happy | sad
    light | dark
    open | closed
    rich | poor
    strong | weak
    early | late
    old | young
    wet | dry
    full | empty
    hard | soft
    high | low
    tall | short
    begin | end
    love | hate
    left | right
    true | false
    loud | quiet
    thick | thin
    near | far
    clean | dirty
    expensive | cheap
    inside | outside
    win | lose
""")
_YOUNG = table("""
    dog | puppy
    cat | kitten
    cow | calf
    sheep | lamb
    horse | foal
    duck | duckling
    goose | gosling
    hen | chick
    pig | piglet
    frog | tadpole
    bear | cub
    kangaroo | joey
""")
_SYMBOLS = table("""
    hydrogen | H
    oxygen | O
    carbon | C
    nitrogen | N
    helium | He
    gold | Au
    silver | Ag
    iron | Fe
    sodium | Na
    copper | Cu
    calcium | Ca
    lead | Pb
    zinc | Zn
    potassium | K
    chlorine | Cl
    magnesium | Mg
    sulfur | S
    neon | Ne
""")
_LANGUAGES = table("""
    France | French
    Brazil | Portuguese
    Portugal | Portuguese
    Germany | German
    Italy | Italian
    Mexico | Spanish
    Japan | Japanese
    Egypt | Arabic
    Angola | Portuguese
    Greece | Greek
    Poland | Polish
    Argentina | Spanish
""")
_MEANINGS = table("""
    obrigado | thank
    bom dia | good morning || good day
    casa | house || home
    água | water
    gato | cat
    cachorro | dog
    livro | book
    amigo | friend
    vermelho | red
    sol | sun
""")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = lines("""
    January
    February
    March
    April
    May
    June
    July
    August
    September
    October
    November
    December
""")
_AUTHORS = table("""
    Romeo and Juliet | Shakespeare
    Hamlet | Shakespeare
    Pride and Prejudice | Austen
    Oliver Twist | Dickens
    Don Quixote | Cervantes
    War and Peace | Tolstoy
    Animal Farm | Orwell
    the novel 1984 | Orwell
    The Odyssey | Homer
    Frankenstein | Shelley
    Moby-Dick | Melville
    The Hobbit | Tolkien
    Crime and Punishment | Dostoevsky || Dostoyevsky
    The Metamorphosis | Kafka
    One Hundred Years of Solitude | Marquez || Márquez
    Les Misérables | Hugo
""")
# question | answer; a number is looked for as digits or as a word.
_SINGLE = table("""
    Which planet is closest to the Sun? | Mercury
    Which planet is known as the Red Planet? | Mars
    What is the largest planet in our solar system? | Jupiter
    Which planet has the most famous rings? | Saturn
    What do bees make? | honey
    Which gas do plants take in from the air? | carbon dioxide || CO2
    Which gas do people need to breathe to stay alive? | oxygen
    What is the largest ocean on Earth? | Pacific
    What is the longest river in Africa? | Nile
    What is the tallest mountain in the world? | Everest
    What is the largest animal in the world? | blue whale
    Which is the fastest land animal? | cheetah
    Which animal is called the king of the jungle? | lion
    Which bird cannot fly and lives in Antarctica? | penguin
    What is frozen water called? | ice
    What colour do you get by mixing blue and yellow? | green
    What colour do you get by mixing red and white? | pink
    What colour is a ripe banana? | yellow
    What colour is the sky on a clear day? | blue
    What colour is grass? | green
    Which organ pumps blood through the body? | heart
    Which organ do we think with? | brain
    Which sense do we use our nose for? | smell
    What is the main ingredient of bread? | flour
    Which fruit is wine made from? | grape || grapes
    From which animal do we get wool? | sheep
    From which animal do we usually get milk? | cow || cows
    Who painted the Mona Lisa? | Leonardo || da Vinci
    Who developed the theory of relativity? | Einstein
    Who discovered gravity when, as the story goes, an apple fell? | Newton
    Who was the first president of the United States? | Washington
    Who was the first person to walk on the Moon? | Armstrong
    In which country are the pyramids of Giza? | Egypt
    In which city is the Eiffel Tower? | Paris
    In which city is the Colosseum? | Rome
    In which country is the Great Wall? | China
    In which city is Big Ben? | London
    Which season comes after winter? | spring
    Which season comes after summer? | autumn || fall
    Which month is the shortest of the year? | February
    In which direction does the sun rise? | east
    In which direction does the sun set? | west
    What is the currency of Japan? | yen
    What is the currency of the United Kingdom? | pound || pounds || sterling
    What is the currency of Germany? | euro
    Which instrument has 88 keys? | piano
    What do caterpillars turn into? | butterfly || butterflies || moth
    What do we call a person who flies an aeroplane? | pilot
    What do we call a doctor for teeth? | dentist
    What do we call a person who bakes bread? | baker
    What do we call a person who translates speech live? | interpreter
    What does the sign % stand for? | percent || percentage || per cent
    Which temperature scale, Celsius or Fahrenheit, has water freeze at 32 degrees? | Fahrenheit
    Which continent is the largest? | Asia
    Which continent is the coldest? | Antarctica
    What is the hottest planet in the solar system? | Venus
    What is the smallest continent? | Australia || Oceania
    Which metal is liquid at room temperature? | mercury
    What is H2O commonly called? | water
    What is the natural satellite of the Earth? | moon
    What star is at the centre of our solar system? | sun
    What is the hardest natural substance? | diamond
    Which country gave the Statue of Liberty to the United States? | France
    Which ship sank in 1912 after it hit an iceberg? | Titanic
    In which sport can you score a slam dunk? | basketball
    Which game has a king, a queen, knights and pawns? | chess
    What is the opposite direction of north? | south
    Which vitamin do we get from sunlight? | vitamin D
""")
_COUNTS = table("""
    How many days are in a week? | 7
    How many months are in a year? | 12
    How many days are in a leap year? | 366
    How many hours are in a day? | 24
    How many minutes are in an hour? | 60
    How many legs does a spider have? | 8
    How many legs does an insect have? | 6
    How many legs does a dog have? | 4
    How many sides does a triangle have? | 3
    How many sides does a hexagon have? | 6
    How many continents are there? | 7
    How many planets are in our solar system? | 8
    How many letters are in the English alphabet? | 26
    How many players of one football (soccer) team are on the field? | 11
    How many strings does a violin have? | 4
    How many colours are in a rainbow? | 7
    In which year did World War II end? | 1945
    In which year did the first person walk on the Moon? | 1969
    In which year did the Berlin Wall fall? | 1989
    How many arms does an octopus have? | 8
    How many cents are in a dollar? | 100
    At how many degrees Celsius does water boil at sea level? | 100
    How many years are in a century? | 100
    How many years are in a decade? | 10
    Roughly what percent of the Earth's surface is covered by water? | 71 || 70
    How many wheels does a bicycle have? | 2
    How many fingers are on one hand? | 5
    How many minutes does a football (soccer) match last without extra time? | 90
""")
_ENDINGS = ("Answer briefly.", "A short answer is enough.", "One short sentence, please.")


def draft(rng: Random) -> Draft:
    """One fact."""
    make = rng.choice((_country, _country, _word, _symbol, _calendar, _author, _single, _single, _single, _count))
    prompt, scorer, reference = make(rng)
    return Draft(prompt + tail(rng, _ENDINGS, 0.2), scorer, reference)


def _country(rng: Random) -> Draft:
    country, capital, continent = rng.choice(_CAPITALS)
    land, language = rng.choice(_LANGUAGES)
    prompt, answer = rng.choice(
        (
            (f"What is the capital of {country}?", capital),
            (f"Which city is the capital of {country}?", capital),
            (f"Name the capital city of {country}.", capital),
            (f"{country}'s capital is called what?", capital),
            (f"{capital} is the capital of which country?", country),
            (f"On which continent is {country}?", continent),
            (f"Which language do most people speak in {land}?", language),
            (f"I am travelling to {land} and must have a letter translated. Into which language?", language),
        )
    )
    return Draft(prompt, "contains", answer)


def _word(rng: Random) -> Draft:
    (one, other), (parent, young), (word, meaning) = (rng.choice(t) for t in (_OPPOSITES, _YOUNG, _MEANINGS))
    if rng.random() < 0.3:
        one, other = other, one
    prompt, answer = rng.choice(
        (
            (f"What is the opposite of {one}?", other),
            (f"What is the opposite of the word '{one}'?", other),
            (f"Give an antonym of '{one}'.", other),
            (f"What do you call a baby {parent}?", young),
            (
                f"A {young} is the young of which animal?",
                any_of(parent, f"{parent}s", {"hen": "chicken", "goose": "geese"}.get(parent, parent)),
            ),
            (f"Which language does the word '{word}' come from: Portuguese or Finnish?", "Portuguese"),
            (f"A Brazilian said '{word}' to me. What did that mean?", meaning),
        )
    )
    return Draft(prompt, "contains", answer)


def _symbol(rng: Random) -> Draft:
    element, symbol = rng.choice(_SYMBOLS)
    if rng.random() < 0.5:
        return Draft(f"Which chemical element has the symbol {symbol}?", "contains", element)
    ask = rng.choice(("What is the chemical symbol for {}?", "Give the chemical symbol of {}."))
    return Draft(ask.format(element), "regex", rf"(?<![A-Za-z']){symbol}(?![A-Za-z'])")


def _calendar(rng: Random) -> Draft:
    names, kind = rng.choice(((_DAYS, "day"), (_MONTHS, "month")))
    n = rng.randrange(len(names))
    after, before = names[(n + 1) % len(names)], names[n - 1]
    prompt, answer = rng.choice(
        (
            (f"Which {kind} comes after {names[n]}?", after),
            (f"Which {kind} comes before {names[n]}?", before),
            (f"If this {kind} is {names[n]}, what is the next {kind}?", after),
            (f"What {kind} follows {names[n]}?", after),
        )
    )
    return Draft(prompt, "contains", answer)


def _author(rng: Random) -> Draft:
    title, author = rng.choice(_AUTHORS)
    ask = rng.choice(("Who wrote {}?", "Who is the author of {}?", "{} was written by whom?"))
    prompt = ask.format(title)
    return Draft(prompt[:1].upper() + prompt[1:], "contains", author)


def _single(rng: Random) -> Draft:
    question, answer = rng.choice(_SINGLE)
    return Draft(question, "contains", answer)


def _count(rng: Random) -> Draft:
    question, answer = rng.choice(_COUNTS)
    return Draft(question, "number", answer)
