"""An answer in the Responses shape: whatever a provider streams, the events are well formed and add up to the whole."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from waypost.gateway.apis.responses_output import Writer, response
from waypost.types import Answer, Delta

# Without a deadline: a busy machine is no failure.
FEW = settings(max_examples=50, deadline=None)
EVENT = TypeAdapter(ResponseStreamEvent)


def told(written: bytes) -> list[dict]:
    events = []
    for block in written.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def chunk(delta: dict, finish: str | None = None) -> Delta:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return Delta(delta.get("content") or "", {"object": "chat.completion.chunk", "choices": [choice]})


def cuts(text: str) -> st.SearchStrategy[list[str]]:
    places = st.lists(st.integers(0, len(text)), max_size=6).map(lambda p: [0, *sorted(p), len(text)])
    return places.map(lambda p: [text[a:b] for a, b in pairwise(p)])


@st.composite
def streams(draw) -> tuple[str, str, list[str], list[Delta]]:
    """A text, a refusal, the arguments of calls, and chunks that say them, cut and (the calls) mixed anyhow."""
    text, refusal = draw(st.text(max_size=20)), draw(st.sampled_from(["", "", "I will not."]))
    arguments = draw(st.lists(st.text(max_size=12), max_size=3))
    said = [{"content": piece} for piece in draw(cuts(text))]
    said += [{"refusal": piece} for piece in draw(cuts(refusal))]
    calls = []
    for i, whole in enumerate(arguments):
        begun = [{"index": i, "id": f"call_{i}", "type": "function", "function": {"name": f"f{i}", "arguments": ""}}]
        calls.append(begun + [{"index": i, "function": {"arguments": piece}} for piece in draw(cuts(whole))])
    while any(calls):
        turn = draw(st.sampled_from([queue for queue in calls if queue]))
        said.append({"tool_calls": [turn.pop(0)]})
    if draw(st.booleans()):
        said.insert(0, {"role": "assistant", "content": ""})
    chunks = [chunk(delta) for delta in said]
    finish = draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
    return text, refusal, arguments, [*chunks, chunk({}, finish)]


@FEW
@given(streams())
def test_any_chat_stream_gives_well_formed_events_whose_pieces_add_up(stream):
    text, refusal, arguments, chunks = stream
    writer = Writer("1", 7, {"model": "auto"})
    written = b"".join(writer.piece("m", piece) for piece in chunks) + writer.end(Answer("m", text))
    events = told(written)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in ("response.completed", "response.incomplete") and kinds.count(kinds[-1]) == 1

    final = events[-1]["response"]
    joined: dict[tuple, str] = {}
    open_items: dict[int, dict] = {}
    for event in events[2:-1]:
        index = event["output_index"]
        if event["type"] == "response.output_item.added":
            assert index == len(open_items)
            open_items[index] = event["item"]
        elif event["type"] == "response.output_item.done":
            assert event["item"] == final["output"][index]
        else:
            assert event["item_id"] == open_items[index]["id"]
        if event["type"].endswith(".delta"):
            key = (index, event.get("content_index"))
            joined[key] = joined.get(key, "") + event["delta"]
    assert kinds.count("response.output_item.done") == len(open_items) == len(final["output"])
    for (index, place), whole in joined.items():
        item = final["output"][index]
        if place is None:
            assert item["arguments"] == whole
        else:
            part = item["content"][place]
            assert part.get("text", part.get("refusal")) == whole

    parts = [part for item in final["output"] if item["type"] == "message" for part in item["content"]]
    assert "".join(part.get("text", "") for part in parts) == text
    assert "".join(part.get("refusal", "") for part in parts) == refusal
    found = [item for item in final["output"] if item["type"] == "function_call"]
    by_id = {item["call_id"]: (item["name"], item["arguments"]) for item in found}
    assert by_id == {f"call_{i}": (f"f{i}", whole) for i, whole in enumerate(arguments)}


@FEW
@given(streams())
def test_the_clients_own_reader_accepts_any_of_these_streams(stream):
    _, _, arguments, chunks = stream
    writer = Writer("1", 7, {})
    written = b"".join(writer.piece("m", piece) for piece in chunks) + writer.end(Answer("m"))
    state = ResponseStreamState(input_tools=[], text_format=omit)
    for event in told(written):
        state.handle_event(EVENT.validate_python(event))
    if event["type"] == "response.completed":
        parsed = [item.arguments for item in state._completed_response.output if item.type == "function_call"]
        assert sorted(parsed) == sorted(arguments)


@FEW
@given(streams())
def test_the_whole_answer_says_what_the_stream_says(stream):
    text, refusal, arguments, chunks = stream
    writer = Writer("1", 7, {})
    written = b"".join(writer.piece("m", piece) for piece in chunks) + writer.end(Answer("m", text))
    calls = [
        {"id": f"call_{i}", "type": "function", "function": {"name": f"f{i}", "arguments": whole}}
        for i, whole in enumerate(arguments)
    ]
    message = {"role": "assistant", "content": text, "refusal": refusal or None, "tool_calls": calls}
    finish = chunks[-1].chunk["choices"][0]["finish_reason"]
    body = {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    whole = response("1", 7, {}, Answer("m", text, body=body))
    Response.model_validate(whole)
    streamed = told(written)[-1]["response"]
    by_call = {item.get("call_id"): item for item in streamed["output"]}
    for item in whole["output"]:
        same = by_call[item.get("call_id")]
        assert {name: same[name] for name in same if name not in ("id", "status")} == {
            name: item[name] for name in item if name not in ("id", "status")
        }
    assert whole["status"] == streamed["status"]


def test_an_answer_cut_at_its_limit_is_incomplete():
    whole = response("1", 0, {}, Answer("m", "On and on", finish="length"))
    assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert whole["output"][0]["status"] == "incomplete"


def test_calls_that_a_provider_all_numbers_zero_are_told_apart_by_their_ids():
    writer = Writer("1", 0, {})
    for name in ("a", "b"):
        call = {"index": 0, "id": f"call_{name}", "function": {"name": name, "arguments": "{}"}}
        writer.piece("m", chunk({"tool_calls": [call]}))
    found = writer.whole(Answer("m"))["output"]
    assert [(item["call_id"], item["name"], item["arguments"]) for item in found] == [
        ("call_a", "a", "{}"),
        ("call_b", "b", "{}"),
    ]


def test_what_was_asked_stands_in_the_answer():
    asked = {"metadata": {"a": "b"}, "temperature": 0.5, "tools": [], "text": {"format": {"type": "json_object"}}}
    whole = response("1", 0, asked, Answer("m", "{}"))
    assert {name: whole[name] for name in asked} == asked
    assert (whole["store"], whole["tool_choice"], whole["previous_response_id"]) == (False, "auto", None)


def test_log_probabilities_go_along():
    tokens = [{"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": []}]
    delta = {"index": 0, "delta": {"content": "Hi"}, "logprobs": {"content": tokens}}
    writer = Writer("1", 0, {})
    events = told(writer.piece("m", Delta("Hi", {"choices": [delta]})))
    assert events[-1]["logprobs"] == tokens
    assert writer.whole(Answer("m"))["output"][0]["content"][0]["logprobs"] == tokens
