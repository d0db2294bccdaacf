"""A request to the Responses API as a chat request: pure functions.

Source: OpenAI's reference of both APIs.  What chat completions have no place for is told apart: some of it only adds to
an answer (a cache key, a summary of the reasoning) and is left out; what the answer depends on (a built-in tool, a
conversation that the provider keeps) is `Chat.foreign`, and only a model that speaks the API itself can take it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from waypost.errors import BadRequest
from waypost.gateway.wire import kind

Json = Mapping[str, Any]

# Of the Responses API alone; they say how the provider keeps, bills or pads the answer, and none changes it.
_LEFT_OUT = {
    *("access_programs", "background_options", "include", "max_tool_calls", "metadata", "moderation"),
    *("prompt_cache_options", "prompt_cache_retention", "store", "stream_options", "top_logprobs", "truncation"),
}
_TRANSLATED = {
    *("input", "instructions", "max_output_tokens", "parallel_tool_calls", "reasoning", "text", "tool_choice", "tools"),
}
_KEPT = "(what providers keep is not kept here: send the whole input instead)"
_NATIVE_FIELDS: Mapping[str, str] = {
    "previous_response_id": _KEPT,
    "conversation": _KEPT,
    "prompt": _KEPT,
    "background": "",
    "context_management": "",
}


@dataclass(slots=True)
class Chat:
    """A request in chat shape, ``messages`` and ``parameters``; ``foreign`` names what of it chat cannot say."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)

    def cannot_say(self, name: str, what: str = "") -> None:
        """Note a field that only a model which speaks the API itself can serve."""
        self.foreign.append(f"{name} {what}".rstrip())


def chat(body: Json, ours: Iterable[str] = ("model", "stream", "waypost")) -> Chat:
    """The chat request that says what a body for ``/v1/responses`` says; fields that nobody knows are passed on.

    Raises:
        BadRequest: a field is of the wrong type; the error names it.

    >>> said = chat({"model": "auto", "input": "Hi", "instructions": "Be brief.", "max_output_tokens": 9})
    >>> said.messages
    [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'Hi'}]
    >>> said.parameters
    {'max_tokens': 9}
    >>> chat({"input": "Hi", "tools": [{"type": "web_search"}]}).foreign
    ["tools[0] of type 'web_search'"]
    """
    said = Chat()
    known = {*_LEFT_OUT, *_TRANSLATED, *_NATIVE_FIELDS, *ours}
    said.parameters = {name: value for name, value in body.items() if name not in known and value is not None}
    if body.get("background") and not body.get("stream"):
        raise BadRequest("background", "needs `stream`: an answer that is to be fetched later is not kept here")
    for name, why in _NATIVE_FIELDS.items():
        if body.get(name):
            said.cannot_say(name, why)
    _read_instructions(said, body.get("instructions"))
    _read_input(said, body)
    _read_tools(said, body)
    _read_text(said, _object(body, "text"))
    reasoning = _object(body, "reasoning")
    if reasoning.get("effort") is not None:
        said.parameters["reasoning_effort"] = reasoning["effort"]
    if body.get("max_output_tokens") is not None:
        said.parameters["max_tokens"] = _count(body, "max_output_tokens")
    include = body.get("include")
    if body.get("top_logprobs") or (isinstance(include, list) and "message.output_text.logprobs" in include):
        said.parameters |= {"logprobs": True, "top_logprobs": body.get("top_logprobs") or 0}
    return said


def _object(body: Json, name: str) -> Json:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadRequest(name, f"must be an object, got {kind(value)}")
    return value or {}


def _count(body: Json, name: str) -> int:
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadRequest(name, f"must be a whole number of at least 1, got {kind(value)}")
    return value


def _read_instructions(said: Chat, instructions: object) -> None:
    if instructions is None:
        return
    if not isinstance(instructions, str):
        raise BadRequest("instructions", f"must be a text, got {kind(instructions)}")
    said.messages.append({"role": "system", "content": instructions})


def _read_input(said: Chat, body: Json) -> None:
    given = body.get("input")
    if isinstance(given, str):
        said.messages.append({"role": "user", "content": given})
        return
    if given is None and said.foreign:
        return  # what a provider keeps may be the whole of it
    if not isinstance(given, list) or not given:
        got = f"got {kind(given)}" if "input" in body else "and is missing"
        raise BadRequest("input", f"must be a text or a list of at least one item, {got}")
    for i, item in enumerate(given):
        if not isinstance(item, dict):
            raise BadRequest(f"input[{i}]", f"must be an object such as a message, got {kind(item)}")
        _read_item(said, f"input[{i}]", item)


def _read_item(said: Chat, name: str, item: Json) -> None:
    match item.get("type") or ("message" if "role" in item else "item_reference"):
        case "message":
            _read_message(said, name, item)
        case "function_call":
            call = {
                "id": _text(item, "call_id", name),
                "type": "function",
                "function": {"name": _text(item, "name", name), "arguments": _text(item, "arguments", name)},
            }
            _turn_with_calls(said)["tool_calls"].append(call)
        case "function_call_output":
            content = _output(said, f"{name}.output", item.get("output"))
            said.messages.append({"role": "tool", "tool_call_id": _text(item, "call_id", name), "content": content})
        case "reasoning":
            pass  # another model's thoughts: sealed, or of no use to the one that answers now
        case "item_reference":
            said.cannot_say(name, f"of type 'item_reference' {_KEPT}")
        case other:
            said.cannot_say(name, f"of type {kind(other)}")


def _text(item: Json, field: str, name: str) -> str:
    value = item.get(field)
    if not isinstance(value, str):
        raise BadRequest(f"{name}.{field}", f"must be a text, got {kind(value)}")
    return value


def _turn_with_calls(said: Chat) -> dict[str, Any]:
    """The assistant's turn that a call belongs to: the one just read, or a new one."""
    if not said.messages or said.messages[-1]["role"] != "assistant":
        said.messages.append({"role": "assistant", "content": None})
    said.messages[-1].setdefault("tool_calls", [])
    return said.messages[-1]


def _read_message(said: Chat, name: str, item: Json) -> None:
    role, content = _text(item, "role", name), item.get("content")
    if isinstance(content, list):
        parts = [_part(said, f"{name}.content[{i}]", part) for i, part in enumerate(content)]
        content = _plain(parts, role)
    elif not isinstance(content, str):
        raise BadRequest(f"{name}.content", f"must be a text or a list of parts, got {kind(content)}")
    # OpenAI's newer name of the system's role, which few others know.
    said.messages.append({"role": "system" if role == "developer" else role, "content": content})


def _plain(parts: Sequence[dict[str, Any]], role: str) -> Any:
    """Parts as the simplest content that says the same: one text if that is all, joined where the model wrote it."""
    texts = [part["text"] for part in parts if part["type"] == "text"]
    if len(texts) == len(parts) and (role == "assistant" or len(texts) == 1):
        return "".join(texts)
    return list(parts)


def _part(said: Chat, name: str, part: object) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise BadRequest(name, f"must be an object with a type, got {kind(part)}")
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": _text(part, "text", name)}
        case "refusal":
            return {"type": "text", "text": _text(part, "refusal", name)}
        case "input_image" if part.get("image_url"):
            detail = {"detail": part["detail"]} if part.get("detail") else {}
            return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
        case "input_file" if part.get("file_data"):
            file = {key: part[key] for key in ("filename", "file_data") if part.get(key)}
            return {"type": "file", "file": file}
        case "input_audio":
            return {"type": "input_audio", "input_audio": part.get("input_audio")}
        case "input_image" | "input_file":
            said.cannot_say(name, "(a file at a provider: send its content as image_url or file_data instead)")
        case other:
            said.cannot_say(name, f"of type {kind(other)}")
    return {"type": "text", "text": ""}


def _output(said: Chat, name: str, output: object) -> str:
    """What a function gave back, which chat takes as text alone."""
    if isinstance(output, str):
        return output
    if not isinstance(output, list):
        raise BadRequest(name, f"must be a text or a list of parts, got {kind(output)}")
    parts = [_part(said, f"{name}[{i}]", part) for i, part in enumerate(output)]
    for i, part in enumerate(parts):
        if part["type"] != "text":
            said.cannot_say(f"{name}[{i}]", f"of type {kind(part['type'])}")
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def _read_tools(said: Chat, body: Json) -> None:
    tools = body.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise BadRequest("tools", f"must be a list of objects, got {kind(tools)}")
    functions = [tool for i, given in enumerate(tools or ()) if (tool := _tool(said, f"tools[{i}]", given))]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        choice, functions = _choice(said, choice, functions)
    if not functions:
        return  # providers refuse a choice among no tools
    said.parameters["tools"] = functions
    if choice is not None:
        said.parameters["tool_choice"] = choice
    if body.get("parallel_tool_calls") is not None:
        said.parameters["parallel_tool_calls"] = body["parallel_tool_calls"]


def _tool(said: Chat, name: str, tool: object) -> dict[str, Any] | None:
    if not isinstance(tool, dict):
        raise BadRequest(name, f"must be an object, got {kind(tool)}")
    if tool.get("type") != "function":
        said.cannot_say(name, f"of type {kind(tool.get('type'))}")
        return None
    _text(tool, "name", name)
    fields = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {key: tool[key] for key in fields if tool.get(key) is not None}}


def _choice(said: Chat, choice: Json, functions: list[dict[str, Any]]) -> tuple[Any, list[dict[str, Any]]]:
    """The choice in chat shape, and the tools left to choose from."""
    if choice.get("type") == "function":
        return {"type": "function", "function": {"name": _text(choice, "name", "tool_choice")}}, functions
    if choice.get("type") == "allowed_tools" and isinstance(choice.get("tools"), list):
        allowed = [tool.get("name") for tool in choice["tools"] if isinstance(tool, dict)]
        return choice.get("mode", "auto"), [tool for tool in functions if tool["function"]["name"] in allowed]
    said.cannot_say("tool_choice", f"of type {kind(choice.get('type'))}")
    return None, functions


def _read_text(said: Chat, text: Json) -> None:
    if text.get("verbosity") is not None:
        said.parameters["verbosity"] = text["verbosity"]
    form = text.get("format")
    if form is None:
        return
    if not isinstance(form, dict):
        raise BadRequest("text.format", f"must be an object, got {kind(form)}")
    match form.get("type"):
        case "text":
            return
        case "json_object":
            said.parameters["response_format"] = {"type": "json_object"}
        case "json_schema":
            fields = ("name", "description", "schema", "strict")
            schema = {key: form[key] for key in fields if form.get(key) is not None}
            said.parameters["response_format"] = {"type": "json_schema", "json_schema": schema}
        case other:
            said.cannot_say("text.format", f"of type {kind(other)}")
