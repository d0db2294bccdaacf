"""How a conversation becomes the text that a local model continues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from waypost.types import Message, message_text

NATIVE = "model"


@dataclass(frozen=True, slots=True)
class Template:
    """The prompt's shape and the strings that end an answer."""

    render: Callable[[Sequence[Message]], str]
    stop: tuple[str, ...]


def _chatml(messages: Sequence[Message]) -> str:
    return "".join(_turn(m) for m in messages) + "<|im_start|>assistant\n"


def _turn(message: Message) -> str:
    # A user must not be able to end their turn and begin the assistant's.
    text = message_text(message).replace("<|im_", "< |im_")
    role = "system" if message.get("role") == "developer" else message.get("role")
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


def _plain(messages: Sequence[Message]) -> str:
    names = {"user": "Question", "assistant": "Answer"}
    turns = (f"{names.get(str(m.get('role')), 'Note')}: {message_text(m)}\n" for m in messages)
    return "".join(turns) + "Answer:"


TEMPLATES: Mapping[str, Template] = {
    "chatml": Template(_chatml, ("<|im_end|>",)),
    "plain": Template(_plain, ("\nQuestion:", "\n\n")),
}
