"""Answers in Anthropic's shape: whole ones, and streams that its own SDK puts together."""

import json

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadRequest, ModelFailed, ModelTimeout, UnknownModel
from waypost.gateway.apis.messages_reply import Stream, error_body, message
from waypost.types import Answer, Delta


def answer(message=None, finish="stop", **counts):
    choice = {"index": 0, "message": message, "finish_reason": finish}
    body = {"choices": [choice]} if message is not None else None
    return Answer("near", (message or {}).get("content") or "", finish=finish, body=body, **counts)


def call(index=None, id=None, name=None, arguments=None):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**({} if index is None else {"index": index}), **({"id": id} if id else {}), "function": function}


def chunk(index=0, **delta):
    return Delta(delta.get("content") or "", {"choices": [{"index": index, "delta": delta, "finish_reason": None}]})


def events(*deltas, end=None):
    """The events of a stream, read as a client reads them, each with its name."""
    stream = Stream("msg_1")
    sent = b"".join(stream.piece("near", delta) for delta in deltas) + stream.end(end or answer(), {"cost": 1})
    return read(sent)


def read(sent):
    blocks = sent.decode().split("\n\n")
    assert blocks.pop() == ""
    found = []
    for block in blocks:
        name, data = block.split("\n", 1)
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


DELTAS = {"text": ["text_delta"], "thinking": ["thinking_delta", "signature_delta"], "tool_use": ["input_json_delta"]}


def put_together(found):
    """The message that Anthropic's SDK makes of a stream, after it was found to be one."""
    assert [e["type"] for e in found if not e["type"].startswith("content_block") and e["type"] != "ping"] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    assert (found[0]["type"], found[-2]["type"], found[-1]["type"]) == (
        "message_start",
        "message_delta",
        "message_stop",
    )
    open_block, blocks = None, 0
    for event in found[1:-2]:
        if event["type"] == "content_block_start":
            assert (open_block, event["index"]) == (None, blocks)
            open_block = event
        elif event["type"] == "content_block_delta":
            assert event["index"] == open_block["index"]
            assert event["delta"]["type"] in DELTAS[open_block["content_block"]["type"]]
        elif event["type"] == "content_block_stop":
            assert event["index"] == open_block["index"]
            open_block, blocks = None, blocks + 1
    assert open_block is None
    snapshot, buffers = None, {}
    for event in found:
        if event["type"] != "ping":
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    for buffer in buffers.values():
        json.loads(buffer)
    return snapshot


def test_a_whole_answer_is_a_message():
    said = {"role": "assistant", "content": "Hello", "reasoning_content": "Greet."}
    counts = {"tokens_in": 100, "tokens_out": 7, "tokens_cached": 60, "tokens_written": 30, "tokens_reasoning": 3}
    assert message(answer(said, **counts), "msg_1") == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "near",
        "content": [
            {"type": "thinking", "thinking": "Greet.", "signature": ""},
            {"type": "text", "text": "Hello"},
        ],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 60,
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 3},
        },
    }
    assert message(answer({"content": None}), "msg_1")["content"] == []


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
        ("tool_calls", "tool_use"),
        ("?", "end_turn"),
    ],
)
def test_why_an_answer_ended(finish, reason):
    assert message(answer({"content": "x"}, finish), "msg_1")["stop_reason"] == reason
    assert put_together(events(chunk(content="x"), end=answer(finish=finish))).stop_reason == reason


def test_a_call_is_one_even_where_the_provider_says_that_it_just_stopped():
    calls = [call(0, "c", "now", "{}")]
    assert message(answer({"tool_calls": calls}, "stop"), "msg_1")["stop_reason"] == "tool_use"
    assert put_together(events(chunk(tool_calls=calls), end=answer())).stop_reason == "tool_use"
    assert put_together(events(chunk(tool_calls=calls), end=answer(finish="length"))).stop_reason == "max_tokens"


def test_a_refusal_is_told_with_its_words():
    told = message(answer({"content": None, "refusal": "I cannot."}), "msg_1")
    assert (told["content"], told["stop_reason"]) == ([{"type": "text", "text": "I cannot."}], "refusal")
    streamed = put_together(events(chunk(refusal="I "), chunk(refusal="cannot.")))
    assert (streamed.content[0].text, streamed.stop_reason) == ("I cannot.", "refusal")


def test_the_text_that_stopped_the_answer_is_told_where_the_server_says_it():
    stopped = Delta("", {"choices": [{"index": 0, "delta": {"content": "x"}, "stop_reason": "END"}]})
    told = put_together(events(stopped))
    assert (told.stop_reason, told.stop_sequence) == ("stop_sequence", "END")


@pytest.mark.parametrize(
    ("arguments", "input"),
    [
        ('{"a": [1]}', {"a": [1]}),
        ("", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ("{'a'", {"arguments": "{'a'"}),
        ("[1]", {"arguments": "[1]"}),
    ],
)
def test_the_input_of_a_call_is_an_object_whatever_the_model_wrote(arguments, input):
    calls = [{"id": "c1", "function": {"name": "now", "arguments": arguments}}]
    assert message(answer({"tool_calls": calls}), "msg_1")["content"][0]["input"] == input


def test_ids_of_calls_are_such_as_anthropics_api_takes_back():
    calls = [call(0, "functions.now:0", "now", "{}"), call(1, None, "now", "{}")]
    ids = [block["id"] for block in message(answer({"tool_calls": calls}), "msg_1")["content"]]
    assert ids == ["functions_now_0", "toolu_1_1"]
    assert [b.id for b in put_together(events(*(chunk(tool_calls=[c]) for c in calls))).content] == ids


def test_a_stream_of_text_begins_at_once_and_ends_with_what_it_used():
    counts = {"tokens_in": 10, "tokens_out": 4, "tokens_cached": 6}
    found = events(chunk(role="assistant", content="Hel"), chunk(content="lo"), chunk(), end=answer(**counts))
    assert [e["type"] for e in found] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    told = put_together(found)
    assert (told.id, told.model, told.content[0].text) == ("msg_1", "near", "Hello")
    assert (told.usage.input_tokens, told.usage.cache_read_input_tokens, told.usage.output_tokens) == (4, 6, 4)
    assert found[-2]["waypost"] == {"cost": 1}


def test_pieces_of_a_local_model_hold_text_and_no_chunk():
    assert put_together(events(Delta("Hel"), Delta("lo"))).content[0].text == "Hello"


def test_an_answer_without_any_content_is_a_message_without_any():
    assert put_together(events()).content == []
    assert put_together(events(chunk(content=" "), chunk(content="\n"))).content == []


def test_thoughts_come_before_the_words():
    told = put_together(events(chunk(reasoning="Hm"), chunk(reasoning="m."), chunk(content="Yes.")))
    assert [(b.type, getattr(b, b.type)) for b in told.content] == [("thinking", "Hmm."), ("text", "Yes.")]


def test_calls_told_in_turns_become_blocks_one_after_the_other():
    told = put_together(
        events(
            chunk(tool_calls=[call(0, "c0", "read", ""), call(1, "c1", "write", "")]),
            chunk(tool_calls=[call(0, arguments='{"a"')]),
            chunk(tool_calls=[call(1, arguments='{"b": "}')]),
            chunk(tool_calls=[call(0, arguments=": 1}"), call(1, arguments='"}')]),
            end=answer(finish="tool_calls"),
        )
    )
    assert [(b.id, b.name, b.input) for b in told.content] == [("c0", "read", {"a": 1}), ("c1", "write", {"b": "}"})]


def test_the_input_of_the_call_that_is_under_way_is_shown_as_it_comes():
    stream = Stream("msg_1")
    stream.piece("near", chunk(tool_calls=[call(0, "c0", "read", "")]))
    assert b'"partial_json":"{\\"pa"' in stream.piece("near", chunk(tool_calls=[call(0, arguments='{"pa')]))


def test_calls_that_share_an_index_are_told_apart_by_their_ids():
    told = put_together(
        events(chunk(tool_calls=[call(0, "c0", "now", "{}")]), chunk(tool_calls=[call(0, "c1", "now", '{"z": 1}')]))
    )
    assert [(b.id, b.input) for b in told.content] == [("c0", {}), ("c1", {"z": 1})]


def test_blank_text_between_calls_is_no_block_and_words_after_them_are():
    told = put_together(
        events(
            chunk(tool_calls=[call(0, "c0", "now", "{}")]),
            chunk(content="\n"),
            chunk(tool_calls=[call(1, "c1", "now", "")]),
            chunk(content="Done."),
        )
    )
    assert [b.type for b in told.content] == ["tool_use", "tool_use", "text"]


def test_only_the_first_choice_is_told():
    assert put_together(events(chunk(content="a"), chunk(1, content="b"))).content[0].text == "a"
    usage = Delta("", {"choices": [], "usage": {}})
    assert Stream("msg_1").piece("near", usage) == b""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadRequest("max_tokens", "is missing"), "invalid_request_error"),
        (UnknownModel("x", ["y"]), "not_found_error"),
        (ModelFailed("slow down", upstream=429), "rate_limit_error"),
        (ModelFailed("no"), "api_error"),
        (ModelTimeout("late"), "timeout_error"),
    ],
)
def test_errors_are_of_the_kind_that_their_status_says(error, kind):
    assert error_body(error) == {"type": "error", "error": {"type": kind, "message": str(error)}}


def test_a_broken_stream_ends_with_an_error_and_nothing_that_passes_for_an_end():
    stream = Stream("msg_1")
    sent = stream.piece("near", chunk(content="Hel")) + stream.broken(ModelFailed("the line was cut"))
    found = read(sent)
    assert found[-1] == {"type": "error", "error": {"type": "api_error", "message": "the line was cut"}}
    assert "message_stop" not in [e["type"] for e in found]


NATIVE = {
    "id": "msg_up",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "text", "text": "Looking."},
        {"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "a"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 5, "output_tokens": 6},
}


def test_anthropics_own_events_pass_byte_for_byte():
    stream = Stream("msg_1")
    raw = b'event: message_start\ndata: {"type": "message_start",  "message": {}}\n\n'
    assert stream.piece("near", Delta("", {"type": "message_start"}, raw, "messages")) == raw
    assert stream.begun
    assert stream.end(Answer("near", raw=b"event: message_stop\n\n", api="messages"), {}) == b"event: message_stop\n\n"


def test_a_whole_message_of_anthropics_can_be_streamed_too():
    whole = Answer("near", "Looking.", body=NATIVE, raw=json.dumps(NATIVE).encode(), api="messages")
    stream = Stream("msg_1")
    sent = stream.piece("near", Delta("Looking.", NATIVE, None, "messages")) + stream.end(whole, {})
    told = put_together(read(sent))
    assert json.loads(told.to_json())["content"] == NATIVE["content"]
    assert (told.id, told.stop_reason, told.usage.output_tokens) == ("msg_up", "tool_use", 6)
    assert message(whole, "msg_1") == NATIVE


leaves = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
values = st.recursive(leaves, lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside), max_leaves=6)
inputs = st.dictionaries(st.text(), values, max_size=3)
calls = st.lists(st.tuples(st.sampled_from(["read", "write"]), inputs), max_size=4)


@st.composite
def streams(draw):
    """A chat stream cut anywhere and mixed in any way that keeps each call's own order; with what it says."""
    wanted = draw(calls)
    lines = []
    for index, (name, input) in enumerate(wanted):
        arguments = json.dumps(input, ensure_ascii=draw(st.booleans()))
        cuts = sorted(draw(st.lists(st.integers(0, len(arguments)), max_size=4)))
        pieces = [arguments[a:b] for a, b in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
        named = call(index, f"c{index}", name, draw(st.sampled_from(["", pieces[0]])))
        rest = pieces[1:] if named["function"]["arguments"] else pieces
        lines.append([{"tool_calls": [c]} for c in [named, *(call(index, arguments=p) for p in rest)]])
    texts = draw(st.lists(st.text(max_size=5), max_size=5))
    thoughts = draw(st.lists(st.text(max_size=5), max_size=2))
    lines += [[{"content": text} for text in texts], [{"reasoning_content": text} for text in thoughts]]
    order = draw(st.permutations([i for i, line in enumerate(lines) for _ in line]))
    mixed = [lines[i].pop(0) for i in order]
    return wanted, "".join(texts), "".join(thoughts), [chunk(**delta) for delta in mixed]


@settings(deadline=None, max_examples=40)
@given(streams())
def test_any_chat_stream_becomes_a_well_formed_one_that_says_the_same(stream):
    wanted, text, thought, deltas = stream
    told = put_together(events(*deltas))
    # A call that is told of first comes first, wherever its index stands; blank text is no block.
    found = {b.id: (b.name, b.input) for b in told.content if b.type == "tool_use"}
    assert found == {f"c{i}": expected for i, expected in enumerate(wanted)}
    for type, whole in (("text", text), ("thinking", thought)):
        assert "".join("".join(getattr(b, type).split()) for b in told.content if b.type == type) == "".join(
            whole.split()
        )
