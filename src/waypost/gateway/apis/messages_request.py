"""A request of Anthropic's Messages API in the shape of chat completions; pure functions.

Source: the reference page of the Messages API.  Fields are named in errors as the client wrote them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from waypost.errors import BadRequest
from waypost.gateway.wire import kind

Json = dict[str, Any]

_OURS = ("model", "stream", "waypost")
_SAME = ("temperature", "top_p", "top_k")  # the last is no field of OpenAI's, but others that take it call it so
_ROLES = ("user", "assistant", "system")
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_THOUGHT = ("thinking", "redacted_thinking")
_NATIVE = ("mcp_servers", "container")
_LONGEST_USER = 64  # OpenAI refuses a longer `user`, and coding agents send about 150 characters


@dataclass(slots=True)
class Translation:
    """A request in chat shape, ``body``; ``foreign`` names what in it only the Messages API has, and was left out."""

    body: Json = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)


def chat(asked: Mapping[str, Any]) -> Translation:
    """The chat request that asks for the same.

    Left out are ``thinking`` and ``output_config.effort``, which models that do not think refuse, past thoughts, which
    only their author can read, and marks for a cache, since other providers cache by themselves.

    Raises:
        BadRequest: a field is missing or of the wrong type; the error names it.

    >>> chat({"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "system": "Be kind."}).body["messages"]
    [{'role': 'system', 'content': 'Be kind.'}, {'role': 'user', 'content': 'Hi'}]
    """
    done = Translation({name: asked[name] for name in _OURS if name in asked})
    _sampling(asked, done)
    _tools(asked, done)
    done.foreign += [name for name in _NATIVE if asked.get(name)]
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages", f"must be a list of at least one message, {_got(asked, 'messages')}")
    turns = [turn for i, message in enumerate(messages) for turn in _turns(f"messages[{i}]", message, done)]
    done.body["messages"] = _system(asked.get("system")) + turns
    return done


def native(asked: Mapping[str, Any]) -> Json:
    """The request as Anthropic's API takes it: without our own field, and without thoughts that nobody has signed.

    Those are the thoughts of other models, which a client has been shown and repeats; the API would refuse them.
    """
    messages = asked["messages"]
    if any(_unsigned(block) for message in messages for block in _blocks(message)):
        kept = [{**m, "content": [b for b in _blocks(m) if not _unsigned(b)]} if _blocks(m) else m for m in messages]
        messages = [m for m in kept if m["content"] != []]
    return {name: value for name, value in asked.items() if name != "waypost"} | {"messages": messages}


def counted(asked: Mapping[str, Any]) -> int:
    """The tokens of a request, estimated as a quarter of its UTF-8 bytes, and 1,600 for each picture or document.

    >>> counted({"messages": [{"role": "user", "content": "Hello, how are you today?"}]})
    7
    """
    texts, media = 0, 0
    waiting: list[Any] = [asked.get("system"), asked.get("messages"), asked.get("tools")]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            texts += len(item.encode(errors="replace"))
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, dict) and item.get("type") in ("base64", "url", "file"):
            media += 1
        elif isinstance(item, dict):
            schema = item.get("input_schema") or item.get("input")
            texts += len(orjson.dumps(schema)) if schema else 0
            waiting += [item.get(name) for name in ("content", "text", "thinking", "source", "data", "description")]
            waiting += [item.get("name")]
    return texts // 4 + 1600 * media + 1


def _sampling(asked: Mapping[str, Any], done: Translation) -> None:
    most = asked.get("max_tokens")
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise BadRequest("max_tokens", f"must be a whole number of at least 1, {_got(asked, 'max_tokens')}")
    done.body["max_tokens"] = most
    done.body |= {name: asked[name] for name in _SAME if asked.get(name) is not None}
    stops = asked.get("stop_sequences")
    if stops is not None and not (isinstance(stops, list) and all(isinstance(stop, str) for stop in stops)):
        raise BadRequest("stop_sequences", f"must be a list of texts, got {kind(stops)}")
    if stops:
        done.body["stop"] = stops
    user = _object(asked, "metadata").get("user_id")
    if isinstance(user, str) and user:
        done.body["user"] = user if len(user) <= _LONGEST_USER else hashlib.sha256(user.encode()).hexdigest()
    form = _object(asked, "output_config").get("format")
    if isinstance(form, dict) and isinstance(form.get("schema"), dict):
        schema = {"name": "answer", "schema": form["schema"], "strict": True}
        done.body["response_format"] = {"type": "json_schema", "json_schema": schema}


def _tools(asked: Mapping[str, Any], done: Translation) -> None:
    tools = [] if asked.get("tools") is None else asked["tools"]
    if not isinstance(tools, list):
        raise BadRequest("tools", f"must be a list of objects, got {kind(tools)}")
    functions = []
    for i, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise BadRequest(f"tools[{i}]", f"must be an object, got {kind(tool)}")
        if tool.get("type") not in (None, "custom"):
            done.foreign.append(f"tools[{i}]")
            continue
        if not isinstance(tool.get("name"), str) or not isinstance(tool.get("input_schema"), dict):
            raise BadRequest(
                f"tools[{i}]", "must have a name, which is a text, and an input_schema, which is an object"
            )
        function = {"name": tool["name"], "parameters": tool["input_schema"]}
        function |= {name: tool[name] for name in ("description", "strict") if tool.get(name) is not None}
        functions.append({"type": "function", "function": function})
    choice = _object(asked, "tool_choice")
    if functions:
        done.body["tools"] = functions
        if choice:
            done.body["tool_choice"] = _tool_choice(choice)
        if choice.get("disable_parallel_tool_use"):
            done.body["parallel_tool_calls"] = False


def _tool_choice(choice: Json) -> Any:
    if choice.get("type") == "tool" and isinstance(choice.get("name"), str):
        return {"type": "function", "function": {"name": choice["name"]}}
    for ours, theirs in _CHOICES.items():
        if choice.get("type") == ours:
            return theirs
    problem = f"must be auto, any, none, or tool with the name of one; got {kind(choice.get('type'))}"
    raise BadRequest("tool_choice.type", problem)


def _system(system: Any) -> list[Json]:
    if not system:
        return []
    if isinstance(system, list):
        for i, block in enumerate(system):
            if not isinstance(block, dict) or not isinstance(block.get("text"), str):
                raise BadRequest(f"system[{i}]", f"must be a block of text, got {kind(block)}")
        system = "\n\n".join(block["text"] for block in system)
    if not isinstance(system, str):
        raise BadRequest("system", f"must be a text or a list of blocks of text, got {kind(system)}")
    return [{"role": "system", "content": system}]


def _turns(name: str, message: Any, done: Translation) -> list[Json]:
    """The chat messages of one turn: results of tools stand alone there, and before whatever else the user says."""
    if not isinstance(message, dict):
        raise BadRequest(name, f"must be an object with role and content, got {kind(message)}")
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        raise BadRequest(f"{name}.role", f"must be one of {', '.join(_ROLES)}; got {kind(role)}")
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    if not isinstance(content, list):
        raise BadRequest(f"{name}.content", f"must be a text or a list of blocks, got {kind(content)}")
    for i, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise BadRequest(f"{name}.content[{i}]", f"must be an object with a type, got {kind(block)}")
    if role == "assistant":
        return _assistant(name, content, done)
    results, parts = [], list[Json]()
    for i, block in enumerate(content):
        place = f"{name}.content[{i}]"
        if block["type"] == "tool_result":
            results.append(_result(place, block, parts, done))
        else:
            parts += _parts(place, block, done)
    said = [{"role": role, "content": _joined(parts, "\n\n")}] if parts or not results else []
    return [*results, *said]


def _assistant(name: str, content: Sequence[Json], done: Translation) -> list[Json]:
    parts, calls = list[Json](), []
    for i, block in enumerate(content):
        place = f"{name}.content[{i}]"
        if block["type"] == "tool_use":
            function = {
                "name": _text(place, block, "name"),
                "arguments": orjson.dumps(block.get("input") or {}).decode(),
            }
            calls.append({"id": _text(place, block, "id"), "type": "function", "function": function})
        elif block["type"] not in _THOUGHT:
            parts += _parts(place, block, done)
    said = _joined(parts, "")
    return [{"role": "assistant", "content": said or None, "tool_calls": calls} if calls else
            {"role": "assistant", "content": said}]  # fmt: skip


def _result(place: str, block: Json, parts: list[Json], done: Translation) -> Json:
    """The message of a tool's result; what of it is no text joins the ``parts`` of the user's next words."""
    content = block.get("content") or []
    found = [{"type": "text", "text": content}] if isinstance(content, str) else []
    if not isinstance(content, str):
        if not isinstance(content, list) or not all(isinstance(b, dict) for b in content):
            raise BadRequest(f"{place}.content", f"must be a text or a list of blocks, got {kind(content)}")
        found = [part for i, b in enumerate(content) for part in _parts(f"{place}.content[{i}]", b, done)]
    parts += [part for part in found if part["type"] != "text"]
    text = "\n".join(part["text"] for part in found if part["type"] == "text")
    said = f"Error: {text}" if block.get("is_error") else text
    return {"role": "tool", "tool_call_id": _text(place, block, "tool_use_id"), "content": said}


def _parts(place: str, block: Json, done: Translation) -> list[Json]:
    match block.get("type"):
        case "text":
            return [{"type": "text", "text": _text(place, block, "text")}]
        case "image":
            return _image(place, _object(block, "source", place), done)
        case "document":
            return _document(place, block, done)
        case "search_result":
            texts = [b.get("text") for b in _blocks(block)]
            lines = [block.get("title"), block.get("source"), *texts]
            return [{"type": "text", "text": "\n".join(line for line in lines if isinstance(line, str))}]
    done.foreign.append(place)
    return []


def _image(place: str, source: Json, done: Translation) -> list[Json]:
    if source.get("type") == "base64":
        url = f"data:{_text(place, source, 'media_type')};base64,{_text(place, source, 'data')}"
    elif source.get("type") == "url":
        url = _text(place, source, "url")
    else:
        done.foreign.append(f"{place}.source")
        return []
    return [{"type": "image_url", "image_url": {"url": url}}]


def _document(place: str, block: Json, done: Translation) -> list[Json]:
    source, title = _object(block, "source", place), block.get("title")
    title = title if isinstance(title, str) else ""
    head = [{"type": "text", "text": title}] if title else []
    match source.get("type"):
        case "text":
            return [*head, {"type": "text", "text": _text(place, source, "data")}]
        case "content":
            inside = source.get("content")
            blocks = [{"type": "text", "text": inside}] if isinstance(inside, str) else _blocks(source)
            return head + [part for b in blocks for part in _parts(place, b, done)]
        case "base64":
            data = f"data:{_text(place, source, 'media_type')};base64,{_text(place, source, 'data')}"
            return [{"type": "file", "file": {"filename": title or "document.pdf", "file_data": data}}]
    done.foreign.append(f"{place}.source")
    return []


def _joined(parts: Sequence[Json], between: str) -> str | list[Json]:
    """One text where there is nothing else, since some servers take no parts at all."""
    if all(part["type"] == "text" for part in parts):
        return between.join(part["text"] for part in parts)
    return list(parts)


def _blocks(holder: Json) -> list[Json]:
    content = holder.get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _unsigned(block: Json) -> bool:
    return block.get("type") == "thinking" and not block.get("signature")


def _text(place: str, block: Json, name: str) -> str:
    value = block.get(name)
    if not isinstance(value, str):
        raise BadRequest(f"{place}.{name}", f"must be a text, {_got(block, name)}")
    return value


def _object(asked: Mapping[str, Any], name: str, place: str = "") -> Json:
    value = asked.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadRequest(f"{place}.{name}" if place else name, f"must be an object, got {kind(value)}")
    return value or {}


def _got(asked: Mapping[str, Any], name: str) -> str:
    return f"got {kind(asked[name])}" if name in asked else "and is missing"
