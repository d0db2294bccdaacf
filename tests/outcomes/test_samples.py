"""Prompt files are read as written, and a mistake in one is named with its line and field."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.outcomes import samples
from waypost.types import Sample

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(str.strip)


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
@settings(max_examples=25, deadline=None)  # each writes a file
@given(prompts=st.lists(TEXT, min_size=1, max_size=5, unique=True), reference=TEXT)
def test_what_is_written_is_read_again(tmp_path_factory, ending, prompts, reference):
    path = tmp_path_factory.mktemp("prompts") / f"some.{ending}"
    written = [Sample(f"p{i}", prompt, "exact", reference, "chat") for i, prompt in enumerate(prompts)]
    samples.write(path, written)
    assert samples.read(path) == written


def test_a_missing_id_is_a_hash_of_the_prompt_and_stays(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"prompt": "Hi", "scorer": "contains", "reference": "hello"}\n\n')
    (sample,) = samples.read(path)
    assert sample.id == samples.stable_id("Hi") and sample.group == ""


def test_a_number_may_stand_as_a_reference(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"prompt": "2+2", "scorer": "number", "reference": 4}')
    assert samples.read(path)[0].reference == "4"


def test_csv_keeps_line_breaks_in_quotes_and_counts_lines(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text('prompt,scorer,reference\n"Two\nlines",exact,a\nNext,exakt,b\n')
    with pytest.raises(BadInput, match=r"own.csv:4: .*no scorer 'exakt'.*Did you mean 'exact'"):
        samples.read(path)


@pytest.mark.parametrize(("name", "text", "said"), [
    ("a.txt", "", "ends in .jsonl or .csv, this one in '.txt'"),
    ("a.jsonl", "", "a.jsonl holds no prompts"),
    ("a.jsonl", "{", "a.jsonl:1: this is not JSON"),
    ("a.jsonl", "[1]", "a.jsonl:1: a line must be a JSON object"),
    ("a.jsonl", '{"promt": "x"}', "a.jsonl:1: no field 'promt'; there are .* Did you mean 'prompt'"),
    ("a.jsonl", '{"scorer": "exact"}', "a.jsonl:1: field 'prompt' is missing"),
    ("a.jsonl", '{"prompt": "Hi"}', "a.jsonl:1: field 'scorer' is missing"),
    ("a.jsonl", '{"prompt": "Hi", "scorer": "exact"}', "a.jsonl:1: .*needs a reference"),
    ("a.jsonl", '{"prompt": 3, "scorer": "exact"}', "a.jsonl:1: field 'prompt' must be a text, got 3"),
    ("a.csv", "prompt,scorer,reference\nHi,exact,a,b\n", "a.csv:2: more fields than the header"),
    ("a.csv", "prompt,scorer\nHi\n", "a.csv:2: field 'scorer' is missing"),
])  # fmt: skip
def test_a_mistake_is_named_with_file_line_and_field(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=said):
        samples.read(tmp_path / name)


def test_one_id_twice_is_refused_with_both_lines(tmp_path):
    path = tmp_path / "twice.jsonl"
    line = json.dumps({"id": "a", "prompt": "Hi", "scorer": "exact", "reference": "x"})
    path.write_text(f"{line}\n{line}\n")
    with pytest.raises(BadInput, match=r"twice.jsonl:2: field 'id': 'a' is also in line 1"):
        samples.read(path)


def test_one_prompt_twice_is_refused_with_both_lines_and_what_to_do(tmp_path):
    path = tmp_path / "twice.jsonl"
    line = json.dumps({"prompt": "Hi", "scorer": "exact", "reference": "x"})
    path.write_text(f"{line}\n\n{line}\n")
    with pytest.raises(BadInput, match=r"twice.jsonl:3: field 'prompt' is the same as in line 1; .* give each an `id`"):
        samples.read(path)


def test_a_missing_file_and_bytes_that_are_no_text_are_said(tmp_path):
    with pytest.raises(BadInput, match=r"no file .*gone.jsonl"):
        samples.read(tmp_path / "gone.jsonl")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="must be UTF-8 text; byte 0 is not"):
        samples.read(tmp_path / "bytes.jsonl")


@pytest.mark.parametrize("field", ["prompt", "reference", "group", "id"])
def test_half_a_character_is_refused_with_its_line_and_field(tmp_path, field):
    path = tmp_path / "own.jsonl"
    values = {"prompt": "Hi", "scorer": "contains", "reference": "hello", field: "Hi \ud800"}
    path.write_text('{"prompt": "fine", "scorer": "exact", "reference": "x"}\n' + json.dumps(values))
    with pytest.raises(BadInput, match=rf"own.jsonl:2: field '{field}' holds .ud800, half of a character"):
        samples.read(path)
