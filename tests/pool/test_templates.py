"""The text that a local model continues."""

from waypost.pool.templates import TEMPLATES

TURNS = (
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Bye"},
)


def test_chatml_has_the_conversations_turns_and_no_system_message_of_its_own():
    assert TEMPLATES["chatml"].render(TURNS[3:]) == "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
    assert TEMPLATES["chatml"].render(TURNS) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
    )


def test_plain_is_questions_and_answers_for_models_that_know_no_turns():
    assert TEMPLATES["plain"].render(TURNS) == "Note: Be brief.\nQuestion: Hi\nAnswer: Hello.\nQuestion: Bye\nAnswer:"
