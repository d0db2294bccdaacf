"""The translator: which requests it takes for its own, what it says, what it leaves to others."""

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import Declined
from waypost.pool.catalogue import LOCAL
from waypost.pool.translate import Request, Translate, understand
from waypost.types import Query


@pytest.mark.parametrize(
    ("prompt", "text", "target"),
    [
        ("Translate to Portuguese: Good morning, my friend.", "Good morning, my friend.", "pt"),
        ("Translate the following sentence into English: O gato dorme.", "O gato dorme.", "en"),
        ("Translate from Portuguese to English: Onde fica o banco?", "Onde fica o banco?", "en"),
        ("Translate into Portuguese the following sentence: I am here.", "I am here.", "pt"),
        ("Please translate this sentence to Portuguese:\nThe house is big.", "The house is big.", "pt"),
        ("Translate the text below into Portuguese.\n\nI am tired.\nYou too?", "I am tired.\nYou too?", "pt"),
        ("Could you translate 'good night' into Portuguese?", "good night", "pt"),
        ("Translate good morning to Brazilian Portuguese", "good morning", "pt"),
        ('Translate to Portuguese: "I am tired." Reply with only the translation.', "I am tired.", "pt"),
        ("How do you say 'thank you' in Portuguese?", "thank you", "pt"),
        ("How do I say where is the bathroom in Portuguese?", "where is the bathroom", "pt"),
        ("In Portuguese, how do you say good night?", "good night", "pt"),
        ("What's “bom dia” in English?", "bom dia", "en"),
        ("What does 'saudade' mean in English?", "saudade", "en"),
        ("What is the Portuguese word for house?", "house", "pt"),
        ("English: I like dogs.\nPortuguese:", "I like dogs.", "pt"),
        ("Say this in Portuguese: Where is the house?", "Where is the house?", "pt"),
        ("Put this into English, please: O gato dorme.", "O gato dorme.", "en"),
        ("Give me the Portuguese for: The dog is here.", "The dog is here.", "pt"),
        ('What is the English for "O gato dorme."?', "O gato dorme.", "en"),
        ("Portuguese to English: O gato dorme.", "O gato dorme.", "en"),
        ("Quick question: English to Portuguese: I am here.", "I am here.", "pt"),
        ("Can you translate this to English? Meu irmão cozinha muito bem.", "Meu irmão cozinha muito bem.", "en"),
        ("Translate this text to Portuguese. The shop is full this morning.", "The shop is full this morning.", "pt"),
        ('The sign says "A sopa está fria.". Translate it to English.', "A sopa está fria.", "en"),
        ('I got this from Brazil: "O pão está fresco." What does it say in English?', "O pão está fresco.", "en"),
        ("A colleague wrote me this in Portuguese, translate it for me: O gato dorme.", "O gato dorme.", "en"),
        ('My landlady only speaks Portuguese. How can I tell her: "I am here."', "I am here.", "pt"),
        ("I am writing to a friend in Brazil. Translate for me: I am here.", "I am here.", "pt"),
        (
            'How would you say "A enfermeira pagou a conta com cartão." in English?',
            "A enfermeira pagou a conta com cartão.",
            "en",
        ),
        ("Inglês para português: I am here.", "I am here.", "pt"),
        ("Traduza para o inglês: Eu gosto de café.", "Eu gosto de café.", "en"),
        ("Traduza a seguinte frase para o inglês: O céu é azul.", "O céu é azul.", "en"),
        ("Por favor, traduza o texto a seguir para o português: The sky is blue.", "The sky is blue.", "pt"),
        ('Traduza "the sky" para português', "the sky", "pt"),
        ("Como se diz 'cat' em português?", "cat", "pt"),
        ('O que significa "dog" em português?', "dog", "pt"),
        ("Qual é a tradução de 'obrigado' em inglês?", "obrigado", "en"),
    ],
)
def test_it_understands_a_request(prompt, text, target):
    assert understand(prompt) == Request(text, target)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "Good morning!",
        "What is the capital of Portugal?",
        "Tell me about the Portuguese language.",
        "What is the best way to learn words in English?",
        "Write a poem in Portuguese.",
        "Translate to French: Good morning.",
        "Translate to European Portuguese: Good morning.",
        "How do you say 'cat' in Spanish?",
        "Translate this to Portuguese",
        "Translate it into English.",
        "Translate the poem to Portuguese",
        "Translate 'dog' to Portuguese and explain the grammar",
        "Translate to Portuguese:",
        "Can you translate this to Portuguese? I need it for work.",
        "Translate this to Portuguese. Keep the tone formal.",
        "Say this in French: Good morning.",
        "Spanish to Portuguese: Buenos días",
        'The sign says "Good night.". Rewrite it in English.',
        "Translate to Portuguese: 42 + 1",
    ],
)
def test_it_leaves_everything_else_to_others(prompt):
    with pytest.raises(Declined):
        understand(prompt)


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("Translate to English: Bonjour le monde, je suis ici.", "does not look like Portuguese"),
        ("Translate to Portuguese: Ich bin nicht im Haus.", "does not look like English"),
        ("Translate to English: Good morning to you all.", "does not look like Portuguese"),
        ("Translate into English: 你好世界", "does not look like Portuguese"),
        ("Translate from English to English: The dog.", "into the same language"),
        ("Translate to Portuguese: " + "word " * 500, "at most 2000"),
    ],
)
def test_it_says_why_a_request_is_not_for_it(prompt, told):
    with pytest.raises(Declined, match=told):
        understand(prompt)


PARTS = """translate traduza to into para o from do portuguese english português inglês : ' " the following sentence
    how do you say in em como se diz what is a please
    say put this into give me the for : brazil speaks only got wrote translation ? . it quick question hello"""


@settings(max_examples=200)
@given(st.text(max_size=2100) | st.lists(st.sampled_from(PARTS.split()), max_size=400).map(" ".join))
def test_any_text_is_understood_or_declined_and_never_costs_time(prompt):
    start = time.process_time()
    try:
        request = understand(prompt)
        assert request.text and request.target in ("en", "pt")
    except Declined as why:
        assert str(why)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("How do you say 'good night' in Portuguese?", "Boa noite"),
        ("Traduza para o inglês: Eu gosto de café.", "I like coffee."),
        (
            "Translate to Portuguese:\nThe house is big.\n\nThe dog is small.",
            "A casa é grande.\n\nO cão é pequeno.",
        ),
    ],
)
async def test_it_answers_with_the_translation_alone(prompt, answer):
    model = Translate(LOCAL["translate"])
    assert await model.ready() is None
    answered = await model.complete(Query.of(prompt))
    assert answered.text == answer
    assert answered.usd == LOCAL["translate"].usd_per_call


def test_it_survives_event_loops_and_threads_that_come_and_go():
    async def some():
        prompts = [f"Translate to Portuguese: I have {n} dogs." for n in range(3)]
        return [a.text for a in await asyncio.gather(*(model.complete(Query.of(p)) for p in prompts))]

    model = Translate(LOCAL["translate"])
    assert len({tuple(asyncio.run(some())) for _ in range(10)}) == 1


async def test_a_missing_engine_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'waypost[local]'" in await Translate(LOCAL["translate"]).ready()
