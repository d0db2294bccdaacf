"""A key never shows itself, whatever is done to it."""

import copy
import dataclasses
import json
import pickle
import traceback

import orjson
import pytest

from waypost.pool.secret import Secret

TEXT = "sk-live-0123456789"


@dataclasses.dataclass
class Settings:
    key: Secret


@pytest.mark.parametrize(
    "shown",
    [
        repr,
        str,
        "{}".format,
        "{:>30}".format,
        "{!r}".format,
        lambda key: "%s" % key,  # noqa: UP031
        lambda key: f"{key} {key!s} {key!r}",
        lambda key: str([key, {"k": key}]),
        lambda key: repr(Settings(key)),
        lambda key: str(dataclasses.asdict(Settings(key))),
        lambda key: json.dumps({"k": key}, default=str),
        lambda key: orjson.dumps({"k": key}, default=repr).decode(),
        lambda key: str(copy.deepcopy(key)),
        lambda key: str(copy.copy(key)),
    ],
)
def test_no_way_of_printing_shows_the_text(shown):
    text = shown(Secret(TEXT))
    assert TEXT not in text and "***" in text


@pytest.mark.parametrize("serialise", [json.dumps, orjson.dumps, pickle.dumps, vars, bytes, iter, len])
def test_nothing_serialises_it_by_itself(serialise):
    with pytest.raises(TypeError) as caught:
        serialise(Secret(TEXT))
    assert TEXT not in "".join(traceback.format_exception(caught.value))


def test_it_gives_its_text_only_when_asked_by_name():
    assert Secret(TEXT).reveal() == TEXT


def test_equal_texts_are_equal_secrets_and_no_secret_equals_its_text():
    assert Secret("chave-é") == Secret("chave-é") and hash(Secret(TEXT)) == hash(Secret(TEXT))
    assert Secret("a") != Secret("b")
    assert Secret(TEXT) != TEXT
