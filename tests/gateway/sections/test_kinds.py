"""A section is declared once: how its fields are read, what is refused, and the schema for editors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from waypost.errors import BadConfig
from waypost.gateway.entry import Entry
from waypost.gateway.sections.kinds import FLAG, TEXT, list_of, named, number, one_of, section, setting, whole_number

FILE = Path("waypost.yaml")


@dataclass(frozen=True)
class Example:
    name: str = setting(TEXT, "What it is called.")
    size: int = setting(whole_number(1, 9), "How large.", 3)
    share: float = setting(number(0, 1), "A part of one.", 0.5)
    on: bool = setting(FLAG, "Whether.", False)
    colour: str | None = setting(one_of(("red", "blue")), "Which.", None)


def entry(value, field="example", line=1) -> Entry:
    if isinstance(value, dict):
        value = {name: entry(v, f"{field}.{name}", line + i) for i, (name, v) in enumerate(value.items())}
    elif isinstance(value, list):
        value = [entry(v, f"{field}[{i}]", line + i) for i, v in enumerate(value)]
    return Entry(FILE, line, field, value)


def test_a_section_is_its_dataclass_with_defaults_where_nothing_or_null_is_given():
    assert section(Example).read(entry({"name": "a", "share": 1, "colour": None})) == Example("a", share=1)


def test_every_mistake_of_a_section_is_told_with_its_line():
    wrong = {"nmae": "a", "size": 10, "share": 1.5, "on": "yes", "colour": "reed"}
    with pytest.raises(BadConfig) as error:
        section(Example).read(entry(wrong))
    told = [str(one).removeprefix("waypost.yaml:") for one in (error.value, *error.value.others)]
    assert told == [
        "1: 'example.nmae' is unknown; allowed here are name, size, share, on, colour. Did you mean 'name'?",
        "1: 'example' needs `name`",
        "2: 'example.size' must be 1 to 9, got 10",
        "3: 'example.share' must be 0 to 1, got 1.5",
        "4: 'example.on' must be true or false, got 'yes'",
        "5: 'example.colour' must be one of red, blue; got 'reed'. Did you mean 'red'?",
    ]


def test_lists_and_names_tell_every_mistake_inside():
    for kind, value in ((list_of(FLAG), [1, True, 2]), (named(FLAG), {"a": 1, "b": True, "c": 2})):
        with pytest.raises(BadConfig) as error:
            kind.read(entry(value))
        assert len(error.value.others) == 1


def test_the_schema_says_what_is_needed_what_it_means_and_the_default():
    schema = section(Example).schema
    assert schema["required"] == ["name"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["name"] == {"description": "What it is called.", "type": "string", "minLength": 1}
    size = schema["properties"]["size"]
    assert (size["description"], size["default"]) == ("How large.", 3)
    assert {"type": "integer", "minimum": 1, "maximum": 9} in size["anyOf"]
    assert {"type": "null"} in size["anyOf"], "a field may be written and left empty"
