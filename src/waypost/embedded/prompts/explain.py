"""What things are, what people do, why things happen; marked by words that a right explanation uses."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, lines, table, words
from waypost.embedded.prompts.marks import several

# thing | how words of its explanation begin; none of them is in the question
_THINGS = table("""
    a volcano | lava magma erupt rock ash crust mountain molten
    a bank | money financ loan deposit account saving
    a library | book read borrow knowledge manuscript information collect
    an island | water sea ocean landmass surround
    a desert | dry sand rain hot arid water
    a glacier | ice snow cold frozen water
    a rainbow | color colour light rain sun water
    a hospital | doctor patient sick medic health care nurse
    a museum | art histor collect exhibit artifact display object
    a computer | data program process electronic machine information store
    the internet | network computer connect information global web
    a map | place direction location represent area geograph land road route
    a calendar | day month year date time
    a passport | travel document country identi citizen
    a contract | agree part legal law term
    gravity | force mass object pull attract fall
    electricity | energy electron charge power current
    photosynthesis | plant light sun oxygen carbon energy water
    evaporation | water liquid gas vapor vapour heat
    democracy | people vote elect government citizen
    inflation | price money econom cost goods rise increase
    a recipe | cook ingredient food dish instruct
    a novel | story book fiction character write written narrative literary literature
    a poem | word rhyme verse emotion express feeling line
    an orchestra | music instrument play conduct
    a vaccine | disease immun protect virus infect
    a bridge | river cross road water structure connect travel path
    a telescope | star light distant see observ space lens
    a thermometer | temperature measur heat degree
    a compass | direction north magnet navigat
    a battery | energy power electr charge store
    an earthquake | ground plate shak tecton crust fault
    a hurricane | wind storm rain ocean tropical
    a planet | star orbit sun space solar celestial
    a mammal | milk hair fur animal young warm
    a reptile | snake lizard cold scale animal egg
    a habit | behav repeat routine regular action
    a translator | language text meaning word convert
    a percentage | hundred 100 number part fraction ratio
    a kilometre | distance 1000 thousand meter metre unit length
    a triangle | three side angle shape point geometric
    a variable in programming | value store data name
    recycling | waste material reus environment new
    a budget | money spend income expens plan financ
    insurance | risk loss protect pay financ cover
    a muscle | body move contract tissue bone
    the heart | blood pump body organ
    oxygen | breath gas air element
    friendship | people trust support relation share bond
    a festival | celebrat music event people cultur tradition
""")
_JOBS = table("""
    a dentist | teeth tooth oral mouth gum
    a baker | bread cake oven dough pastr
    a plumber | pipe water repair leak fix
    a pilot | fl aircraft plane airplane passenger
    a judge | court law legal case decision
    a farmer | crop animal land grow food
    a firefighter | fire rescue emergenc safety save
    a librarian | book library read information
    a tailor | cloth suit sew fabric garment
    a nurse | patient care health medic hospital
    an architect | building design house plan
    a chef | food cook kitchen dish meal
    a teacher | student learn school class educat
    a gardener | plant flower grow soil tree lawn
    a journalist | news story report write article
    a photographer | picture photo image camera
    a mechanic | car repair engine vehicle fix
    a translator | language text word meaning
    an astronaut | space mission earth station spacecraft planet
    a veterinarian | animal pet health care sick
""")
_WHY = table("""
    Why is the sky blue? | scatter light atmosphere wavelength sun
    Why do leaves fall in autumn? | tree winter water cold energy chlorophyll
    Why do we sleep? | rest body brain energy restor
    Why is the sea salty? | mineral river rock dissolv water sodium
    Why do birds fly south in winter? | warm food migrat cold
    Why do we need water? | body cell hydrat life temperature
    Why does ice float on water? | dens less lighter molecul
    Why do people dream? | sleep brain memor emotion process
    Why do cats purr? | happy content relax communicat sound comfort
    Why are vegetables healthy? | vitamin mineral fiber fibre nutrient
    Why do we have seasons? | tilt axis sun earth orbit
    Why do we wash our hands? | germ bacteria clean virus disease spread infect
    Why do onions make us cry? | eye gas sulfur chemical irritat tear
    How do bees make honey? | nectar flower hive collect
    How does a bicycle stay upright? | balance wheel steer gyroscop momentum
    How does a fish breathe? | gill water oxygen
    How does a plane fly? | wing lift air engine thrust
    How do plants grow? | water sun soil seed light nutrient root
    How does soap clean? | oil dirt water grease molecul
    How does a refrigerator keep food cold? | heat cool coolant compress temperature air
    How does rain form? | cloud water vapor vapour condens drop
    How does a magnet work? | field iron pole attract force
    What causes tides? | moon gravit sun pull ocean
    What makes bread rise? | yeast gas carbon ferment dough
    What is the difference between weather and climate? | long short term temperature time average pattern
    What is the difference between a lake and a river? | flow water body still land sea
""")
_ASKS = lines("""
    What is {}?
    What is {}? Explain it in simple words.
    Explain in one sentence what {} is.
    Can you explain what {} is?
    Tell me what {} is.
    How would you explain {} to a child?
    Give me a short definition of {}.
    I am 10 years old. What is {}?
    My daughter asked me what {} is. What should I say?
""")
_JOB_ASKS = lines("""
    What does {} do?
    What is the work of {}?
    Describe the job of {}.
    Tell me what {} does all day.
    My uncle is {}. What does he do at work?
""")
_WHY_ASKS = lines("""
    {}
    {} Explain briefly.
    {} Two sentences are enough.
    I always wondered: {}
    A child in my class of 24 asked: {}
""")


def draft(rng: Random) -> Draft:
    """One thing to explain."""
    rows, asks = rng.choice(((_THINGS, _ASKS), (_THINGS, _ASKS), (_JOBS, _JOB_ASKS), (_WHY, _WHY_ASKS)))
    about, stems = rng.choice(rows)
    ask = rng.choice(asks).format(about)
    asked = ask.lower()
    told = [stem for stem in words(stems) if stem not in asked]
    return Draft(ask, "several", several(told, 2, ending="*"))
