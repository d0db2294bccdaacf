"""Which prompts are the same question: equal, or near duplicates, and nothing else."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.outcomes import leaks, wording
from waypost.outcomes.example import example_table

PREAMBLE = """You are a careful assistant. Read the question and answer with the letter of the right option only.

Question: Which animal gives wool?
A) the sheep
B) the trout
Answer: A

Question: """


def near(a: str, b: str) -> bool:
    return bool(leaks.find([a], [b]).near_N[0])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param("Where did Hemingway write it?", "where did Hemmingway write it", id="typo"),
        pytest.param("Please tell me what the largest planet is.", "Tell me what teh largest planet is", id="the"),
        pytest.param("Name the largest planet of all", "Name the largets planet of all", id="swapped letters"),
        pytest.param(
            "Which gas do plants take in?\nA. oxygen\nB. carbon dioxide\nC. helium",
            "Which gas do plants take in?\nA. helium\nB. oxygen\nC. carbon dioxide",
            id="options in another order",
        ),
        pytest.param(
            "How many legs has a spider?\nA. 6\nB. 8\nC. 10",
            "How many legs has a spider?\nA. 10\nB. 6\nC. 8",
            id="options of numbers in another order",
        ),
        pytest.param("The train “left” — didn't it? Why", 'The train "left", did not it? Why', id="punctuation"),
        pytest.param(
            "哪一种气体被植物吸收？\nA. 氧气\nB. 二氧化碳",
            "哪一种气体被植物吸收？\nA. 二氧化碳\nB. 氧气",
            id="without spaces",
        ),
    ],
)
def test_the_same_question_in_other_clothes_is_a_near_duplicate(a: str, b: str) -> None:
    found = leaks.find([a], [b])
    assert (found.exact_N[0], found.near_N[0]) == (False, True)
    assert len(set(leaks.clusters([a, b]))) == 1


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param("What is 17 plus 26?", "What is 17 plus 28?", id="a number"),
        pytest.param("Ann has 17 pears and Bob has 26 plums.", "Ann has 26 pears and Bob has 17 plums.", id="order"),
        pytest.param("How cold is -5 degrees Celsius?", "How cold is 5 degrees Celsius?", id="a sign"),
        pytest.param("Is it true that x < y for all of them?", "Is it true that x > y for all of them?", id="symbol"),
        pytest.param("Which element has the symbol Ca?", "Which element has the symbol Cu?", id="short names"),
        pytest.param("Find the maximum value in a list.", "Find the minimum value in a list.", id="maximum"),
        pytest.param("Which of these is a mammal at all?", "Which of these is not a mammal at all?", id="not"),
        pytest.param("The lid was loose because it turned.", "The lid wasn't loose because it turned.", id="wasn't"),
        pytest.param(PREAMBLE + "Which bird swims?", PREAMBLE + "Which metal is liquid?", id="few-shot preamble"),
        pytest.param("How many zeros has a million?", "How many zeros has a billion?", id="a number word"),
        pytest.param("Is it the eighth day of May?", "Is it the eight day of May?", id="an ordinal"),
        pytest.param("Explain typical pneumonia.", "Explain atypical pneumonia.", id="a prefix"),
        pytest.param("Is this behaviour moral or not?", "Is this behaviour amoral or not?", id="amoral"),
        pytest.param("Why do doctors prescribe the drug?", "Why do doctors proscribe the drug?", id="proscribe"),
        pytest.param("Which car is the fastest of all?", "Which can is the fastest of all?", id="like a light word"),
        pytest.param("Alice is taller than Bob. Who is it?", "Bob is taller than Alice. Who is it?", id="who and whom"),
        pytest.param("Convert an integer to a roman numeral", "Convert a roman numeral to an integer", id="direction"),
        pytest.param("From English to French: good morning", "From French to English: good morning", id="from and to"),
        pytest.param("法国的首都是哪里？请回答。", "英国的首都是哪里？请回答。", id="one sign of a clause"),
        pytest.param("明年在北京举行的会议是什么？", "明年在南京举行的会议是什么？", id="one sign of a city"),
        pytest.param("明星类战略业务单位的特征是什么？", "问号类战略业务单位的特征是什么？", id="without spaces"),
    ],
)
def test_another_question_in_the_same_words_is_none(a: str, b: str) -> None:
    assert len(leaks.find([a], [b])) == 0
    assert len(set(leaks.clusters([a, b]))) == 2


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Say hello", "  SAY\n\thello "),
        ("２＋２?", "2+2?"),
        ("Straße", "STRASSE"),
        ("cafe\N{COMBINING ACUTE ACCENT}", "café"),
        ("", " \n "),
        ("\ud800", "\ud800"),
    ],
)
def test_case_white_space_and_unicode_form_make_no_difference(a: str, b: str) -> None:
    found = leaks.find([a], [b])
    assert found.exact_N.tolist() == [True] and found.pairs == ((0, 0, 1.0),)


def test_a_leak_names_the_training_prompt_it_is_most_like() -> None:
    train = ["Name a bird.", "Which planet is teh largest of all?", "Which planet is the largest of all"]
    found = leaks.find(["Which planet is the largets of all?", "Name a river.", "name a BIRD."], train)
    assert [pair[:2] for pair in found.pairs] == [(0, 2), (2, 0)]
    assert len(found) == 2 and found.leaked_N.tolist() == [True, False, True]


def test_a_leak_is_found_through_others_only_when_it_is_near_itself() -> None:
    chain = ["Which planett is the largest?", "Which planet is the largest?", "Which planet is the largestt?"]
    assert len(set(leaks.clusters(chain))) == 1
    assert len(leaks.find(["Which plannett is the largest?", "Which planett is the largest?"], chain[1:2])) == 1


def test_a_leak_into_a_large_cluster_is_compared_with_a_few_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not each with each: a thousand wordings of one question took minutes."""
    compared, alike = [], wording.alike
    monkeypatch.setattr(wording, "alike", lambda a, b: compared.append(0) or alike(a, b))
    rng, light = random.Random(0), sorted(wording.LIGHT)
    said = "Summarise {} article about renewable energy policy and list every country that it names"
    prompts = list({said.format(" ".join(rng.sample(light, 4))) for _ in range(400)})
    label_N = leaks.clusters(prompts)
    proposed = len(compared)
    found = leaks.find(prompts[::2], prompts[1::2])
    assert found.near_N.sum() >= 0.98 * np.isin(label_N[::2], label_N[1::2]).sum() > 50
    assert len(compared) - 2 * proposed <= leaks._REACH * len(prompts[::2])
    assert all(similarity >= leaks.THRESHOLD for *_, similarity in found.pairs)


def test_prompts_of_one_source_share_a_cluster_and_an_empty_source_is_none() -> None:
    prompts = ["Who wrote it?", "When was it?", "Name a bird.", "Name a river."]
    assert leaks.clusters(prompts, ["book", "book", "", ""]).tolist() == [0, 0, 2, 3]
    with pytest.raises(ValueError, match="4 prompts and 1 sources; give one for each, or none"):
        leaks.clusters(prompts, ["book"])


def test_nothing_leaks_into_nothing() -> None:
    assert leaks.clusters([]).tolist() == []
    assert len(leaks.find([], ["a"])) == len(leaks.find(["a"], [])) == len(leaks.find([], [])) == 0


def test_a_shared_template_joins_no_different_questions() -> None:
    things = ["lamp", "scarf", "clock", "pillow", "candle", "window", "bicycle", "garden", "violin", "teapot"]
    prompts = [f"{PREAMBLE}Write a slogan for a shop in {town} that sells a {a} and a {b}."
               for a in things for b in things for town in ("Lisbon", "Athens", "Dublin")]  # fmt: skip
    assert len(set(leaks.clusters(prompts))) == len(prompts)


def slowly(prompts: list[str]) -> list[int]:
    """Every pair, by the rules themselves."""
    label = list(range(len(prompts)))
    for a, b in combinations(range(len(prompts)), 2):
        same = wording.folded(prompts[a]) == wording.folded(prompts[b]) or (
            wording.alike(wording.words(prompts[a]), wording.words(prompts[b]))
            and wording.jaccard(prompts[a], prompts[b]) >= leaks.THRESHOLD
        )
        if same:
            low, high = sorted((label[a], label[b]))
            label = [low if each == high else each for each in label]
    return label


def spoilt(prompt: str, rng: random.Random) -> str:
    """A prompt with one letter of it doubled."""
    at = rng.choice([i for i, letter in enumerate(prompt) if letter.isalpha()])
    return prompt[:at] + prompt[at] + prompt[at:]


def test_what_is_found_is_what_a_comparison_of_every_pair_finds() -> None:
    rng = random.Random(0)
    prompts = list(example_table(150).prompts)
    prompts += [spoilt(prompt, rng) for prompt in prompts[::2]] + [prompt.upper() for prompt in prompts[::5]]
    assert leaks.clusters(prompts).tolist() == slowly(prompts)


WORDS = ("what", "is", "the", "name", "nmae", "of", "a", "big", "river", "lake", "7", "12", "not", "大学", "école")
PROMPTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join) | st.text(max_size=12), max_size=8)


@settings(max_examples=60, deadline=None)
@given(PROMPTS, st.randoms(use_true_random=False))
def test_the_order_of_the_prompts_changes_nothing(prompts: list[str], rng: random.Random) -> None:
    order = list(range(len(prompts)))
    rng.shuffle(order)
    before, after = leaks.clusters(prompts), leaks.clusters([prompts[i] for i in order])
    same = before[:, None] == before
    assert ((after[:, None] == after) == same[np.ix_(order, order)]).all()


@settings(max_examples=60, deadline=None)
@given(PROMPTS, PROMPTS)
def test_a_prompt_equals_itself_and_leaks_go_both_ways(test: list[str], train: list[str]) -> None:
    assert leaks.find(test, test).exact_N.all()
    there, back = leaks.find(test, train), leaks.find(train, test)
    pairs = {(a, b) for a, b, _ in there.pairs}
    assert all(back.leaked_N[b] for _, b in pairs)
    assert not (there.exact_N & there.near_N).any()


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_alike_is_symmetric(a: str, b: str) -> None:
    assert wording.jaccard(a, b) == wording.jaccard(b, a)
    assert wording.alike(wording.words(a), wording.words(a))
    assert wording.alike(wording.words(a), wording.words(b)) == wording.alike(wording.words(b), wording.words(a))
