"""How to do everyday things; marked by words that sensible advice uses."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, lines, table, words
from waypost.embedded.prompts.marks import prose

# what somebody wants to do | how words of sensible advice begin
_WISHES = table("""
    sleep better | bed routine screen relax caffeine schedule dark quiet
    save money | budget spend expens track cost plan goal
    learn to cook | recipe simple practice ingredient basic kitchen
    learn Portuguese | practice listen speak vocabulary grammar lesson word conversation
    remember names | repeat associat listen write
    get fit | exercise walk run diet workout strength healthy
    make new friends | join club people social talk interest meet activit
    write a good letter | clear greet start purpose tone introduct
    keep my plants alive | water light soil sun climate pot
    stop biting my nails | stress habit trigger polish distract
    read more books | time day habit goal set library
    be less nervous before an exam | breath prepar study relax practice calm
    boil an egg | water minute pot boiling heat
    clean my windows | cloth water vinegar soap wipe glass
    paint a room | wall brush roller color colour primer tape
    choose a bicycle | size budget ride comfort frame terrain
    plan a holiday | budget destination book date place hotel beach city travel
    spend less time on my phone | limit set notification time screen app
    take better photos | light camera focus composition angle
    bake bread | flour yeast dough oven water knead
    train a puppy | reward treat consisten positive patien command
    run 5 kilometres | start slow train walk pace warm week
    prepare for a job interview | research company question practice answer dress
    give a good speech | practice audience clear speak eye
    wake up early | bed alarm sleep night routine
    eat more vegetables | salad meal add snack soup variety dish
    drink more water | bottle glass day carry
    grow tomatoes | sun water soil plant seed
    remove a coffee stain | water soap cold vinegar detergent
    calm a crying baby | hold feed sing rock sooth comfort
    work from home | space schedule break routine desk distract
    stay warm in winter | layer cloth coat hat heat blanket
    cool down in summer | water shade fan drink cold light
    find a cheap flight | book compare advance date search website
    say no politely | thank polite honest clear respect appreciat
    learn the guitar | practice chord finger lesson song teacher basic tutorial
    study for a maths test | practice problem review notes concept
    reduce waste | reus recycl buy bag compost
    speak in front of 50 people | practice audience breath prepar confiden
    lose 3 kilos | diet exercise calor eat healthy food
""")
_ASKS = lines("""
    How can I {}?
    What is the best way to {}?
    I want to {}. Any tips?
    Give me some advice: how do I {}?
    My friend wants to {}. What should she do?
    Give me one tip: how to {}?
    I would like to {} but do not know how to start.
    What would you do to {}?
    Help me {}.
""")


def draft(rng: Random) -> Draft:
    """One wish for advice."""
    wish, stems = rng.choice(_WISHES)
    told = [stem for stem in words(stems) if stem not in wish]
    wish = wish.replace(" my ", " her ") if (ask := rng.choice(_ASKS)).startswith("My friend") else wish
    return Draft(ask.format(wish), "regex", prose(told, 60))
