import json

from waypost.gateway.cache.gathered import Gathered
from waypost.types import Answer, Delta


def chunk(delta, finish=None, **more):
    return {"id": "c1", "created": 7, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]}


def gathered(*chunks) -> Gathered:
    made = Gathered()
    for piece in chunks:
        made.take(Delta("", piece))
    return made


def test_tool_calls_come_together_from_their_pieces():
    body = (
        gathered(
            chunk({"role": "assistant", "content": None}),
            chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x":'}}]}),
            chunk({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
            chunk({}, "tool_calls"),
            {"id": "c1", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        )
        .whole(Answer("m", finish="tool_calls"))
        .body
    )
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "function": {"name": "f", "arguments": '{"x":1}'}},
            {"id": "b", "function": {"name": "g", "arguments": "{}"}},
        ],
    }
    assert body["usage"] == {"prompt_tokens": 1, "completion_tokens": 2}
    assert body["object"] == "chat.completion"


def test_thoughts_log_probabilities_and_further_choices_are_kept():
    body = (
        gathered(
            chunk({"role": "assistant", "reasoning_content": "hm"}, logprobs={"content": [{"token": "a"}]}),
            chunk({"reasoning_content": "m", "content": "Par"}, logprobs={"content": [{"token": "b"}]}),
            {"choices": [{"index": 1, "delta": {"content": "Rome"}, "finish_reason": "stop"}]},
            chunk({"content": "is"}, "stop"),
        )
        .whole(Answer("m", "Paris"))
        .body
    )
    first, second = body["choices"]
    assert first["message"] == {"role": "assistant", "reasoning_content": "hmm", "content": "Paris"}
    assert first["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}]}
    assert second["message"] == {"content": "Rome"}


def test_the_providers_bytes_do_as_well_as_its_chunks():
    made = Gathered()
    for text in ("Par", "is"):
        made.take(Delta(text, raw=b"data: " + json.dumps(chunk({"content": text})).encode() + b"\n\n"))
    assert made.whole(Answer("m", "Paris")).body["choices"][0]["message"]["content"] == "Paris"


def messages(*blocks) -> Gathered:
    """A message of Anthropic's with these blocks, each as how it starts and its deltas."""
    start = {"id": "m1", "role": "assistant", "content": [], "stop_reason": None, "usage": {"input_tokens": 4}}
    told = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, (block, *deltas) in enumerate(blocks):
        told.append({"type": "content_block_start", "index": index, "content_block": block})
        told += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        told.append({"type": "content_block_stop", "index": index})
    told.append({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}})
    made = Gathered()
    for event in told:
        made.take(Delta("", event, api="messages"))
    return made


def test_a_message_of_anthropics_comes_together_from_its_events():
    thought, call = {"type": "thinking", "thinking": "", "signature": ""}, {"type": "tool_use", "id": "t", "name": "f"}
    text = {"type": "text", "text": "", "citations": None}
    made = messages(
        (thought, {"type": "thinking_delta", "thinking": "Hm"}, {"type": "signature_delta", "signature": "c2ln"}),
        (
            text,
            {"type": "text_delta", "text": "Par"},
            {"type": "citations_delta", "citation": {"cited_text": "x"}},
            {"type": "text_delta", "text": "is"},
        ),
        (call | {"input": {}}, *({"type": "input_json_delta", "partial_json": part} for part in ("", '{"a":', "1}"))),
    )
    answer = made.whole(Answer("m", "Paris", finish="tool_calls", raw=b"event: message_stop\n\n", api="messages"))
    assert answer.raw is None and answer.body == {
        "id": "m1",
        "role": "assistant",
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 4, "output_tokens": 9},
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
            {"type": "text", "text": "Paris", "citations": [{"cited_text": "x"}]},
            call | {"input": {"a": 1}},
        ],
    }


def test_a_message_with_a_piece_that_nobody_knows_makes_nothing():
    made = messages(({"type": "text", "text": ""}, {"type": "colour_delta", "colour": "red"}))
    assert made.whole(Answer("m", "x", api="messages")) is None


def test_pieces_in_another_shape_or_too_many_make_nothing():
    other = Gathered()
    other.take(Delta("x", raw=b"event: message_start\n\n", api="messages"))
    assert other.whole(Answer("m", "x", api="messages")) is None
    foreign = Gathered()
    foreign.take(Delta("x", {"type": "response.created"}, api="responses"))
    assert foreign.whole(Answer("m", "x", api="responses")) is None
    long = Gathered()
    long.take(Delta("x" * 5_000_000, chunk({"content": "x"})))
    assert long.whole(Answer("m", "x")) is None and not long.chunks


def test_a_model_without_chunks_is_known_by_its_text():
    made = Gathered()
    made.take(Delta("12"))
    assert made.whole(Answer("arithmetic", "12")) == Answer("arithmetic", "12")
    assert Gathered().whole(Answer("m", "")) is None
