import numpy as np
import pytest

from waypost.encoders import StaticEncoder
from waypost.gateway.cache.nearby import Nearby
from waypost.outcomes.wording import folded

ENCODER = StaticEncoder()
GROUP = bytes(range(32))


def vector(text: str) -> np.ndarray:
    return ENCODER.encode([folded(text)])[0]


def put(nearby: Nearby, text: str, key: bytes = b"key", group: bytes = GROUP, seconds: float = 60, tenant="t") -> None:
    nearby.put(tenant, group, text, key, vector(text), seconds)


def find(nearby: Nearby, text: str, group: bytes = GROUP, tenant: str = "t") -> list[bytes]:
    return nearby.find(tenant, group, text, vector(text))


def test_the_same_question_in_other_clothes_is_found():
    nearby = Nearby(0.9, 10, same_words=True)
    put(nearby, "What is the capital of France?")
    assert find(nearby, "please, what's the capital of france") == [b"key"]


@pytest.mark.parametrize(
    ("known", "other"),
    [
        ("Hello there, is it Monday? Or not!", "hello there is it monday or not"),
        ("Please say “hello” in French.", 'kindly say "hello"  in french'),
        ("What is 17 + 26?", "what is 17 + 26"),
        ("It isn’t the end, is it...", "It is not the end, is it?"),
    ],
)
def test_what_only_a_typist_varies_is_forgiven(known, other):
    nearby = Nearby(0.5, 10, same_words=True)
    put(nearby, known)
    assert find(nearby, other) == [b"key"]


@pytest.mark.parametrize(
    ("known", "other"),
    [
        ("What is 14 degrees Fahrenheit in Celsius?", "What is 41 degrees Fahrenheit in Celsius?"),
        ("Do you prefer horses or turtles?", "Do you prefer turtles or horses?"),
        ("Is a whale larger than an elephant?", "Is an elephant larger than a whale?"),
        ("Which of these is a fruit?\nA) stone\nB) apple", "Which of these is a fruit?\nA) apple\nB) stone"),
        ("How do I get from Rome to Paris?", "How do I get to Rome from Paris?"),
        ("Is 1.5 more than 2?", "Is 15 more than 2?"),
        ("Translate: I love you", "Translate: you love I"),
        ("Should I take the pills with food?", "Should I not take the pills with food?"),
        ("What is (2 + 3) * 4?", "What is 2 + (3 * 4)?"),
        ("What is 5!?", "What is 5?"),
        ("What is 5! + 1?", "What is 5 + 1?"),
        ("What is 5²?", "What is 52?"),
        ("What is .5 times 12?", "What is 5 times 12?"),
        ("Is hepatitis A contagious?", "Is hepatitis contagious?"),
        ("Which city is the capital of the US?", "Which city is the capital of the us?"),
        ("What does print('a' + b) show?", "What does print(a + 'b') show?"),
        ("In Python, what is a[1:] if a = [5, 6, 7]?", "In Python, what is a[1] if a = [5, 6, 7]?"),
        ("Is x_1 a name in Python?", "Is x 1 a name in Python?"),
        ("Which is the mean of 1, 25?", "Which is the mean of 1 25?"),
        ("Is !ready the same as false here?", "Is ready the same as false here?"),
    ],
)
def test_questions_that_differ_in_a_word_or_its_place_are_not_taken_for_one(known, other):
    nearby = Nearby(0.8, 10, same_words=True)
    put(nearby, known)
    assert find(nearby, other) == []
    careless = Nearby(0.8, 10, same_words=False)
    put(careless, known)
    assert find(careless, other) == [b"key"]  # which is why the words are looked at


def test_another_group_or_tenant_is_never_found():
    nearby = Nearby(0.9, 10, same_words=False)
    put(nearby, "Hello there, friend")
    # The same first 64 bits: the whole digest counts.
    assert find(nearby, "Hello there, friend", group=GROUP[:8] + bytes(24)) == []
    assert find(nearby, "Hello there, friend", tenant="u") == []
    assert find(nearby, "Hello there, friend") == [b"key"]


def test_what_is_too_old_is_not_found():
    nearby = Nearby(0.9, 10, same_words=False)
    put(nearby, "Hello there, friend", seconds=0)
    assert find(nearby, "Hello there, friend") == []


def test_a_tenant_keeps_so_many_and_the_longest_unused_leaves():
    nearby = Nearby(0.99, 100, same_words=True)
    texts = [f"How much is {n} times seven?" for n in range(101)]
    for n, text in enumerate(texts[:100]):
        put(nearby, text, key=b"%d" % n)
    nearby.used("t", b"0")
    put(nearby, texts[100], key=b"100")
    assert find(nearby, texts[0]) == [b"0"] and find(nearby, texts[100]) == [b"100"]
    assert find(nearby, texts[1]) == []
    assert len(nearby.tenants["t"].places) == len(nearby.tenants["t"].vectors) == 100


def test_tenants_are_bounded_too():
    nearby = Nearby(0.9, 10, same_words=False)
    for n in range(101):
        put(nearby, "Hello", tenant=f"t{n}")
    assert len(nearby.tenants) == 100 and "t0" not in nearby.tenants
