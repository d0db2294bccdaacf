"""That the OpenAPI document says what the gateway does."""

from __future__ import annotations

import json
from urllib.request import Request, urlopen

import schemathesis

from waypost.errors import BadRequest
from waypost.gateway.openapi import document
from waypost.gateway.wire import error_body

ANSWERS_ITSELF = "models: [{name: arithmetic, kind: arithmetic}]\nrouter: cheapest"
HELLO = [{"role": "user", "content": "What is 2 + 2?"}]
# A request of each route that is good but for the field in question.
ASKED = {
    "/v1/chat/completions": {"model": "auto", "messages": HELLO},
    "/v1/completions": {"model": "auto", "prompt": "What is 2 + 2?"},
    "/v1/embeddings": {"model": "arithmetic", "input": "Hi"},
    "/v1/responses": {"model": "auto", "input": "What is 2 + 2?"},
    "/v1/messages": {"model": "auto", "messages": HELLO, "max_tokens": 9},
    "/v1/messages/count_tokens": {"model": "auto", "messages": HELLO},
    "/v1/explain": {"model": "auto", "messages": HELLO},
    "/v1/feedback": {"decision": "0" * 24, "quality": 1},
}


def operations():
    return [(path, method, told) for path, item in document()["paths"].items() for method, told in item.items()]


def schema_of(told):
    return told["requestBody"]["content"]["application/json"]["schema"]


def post(served, path: str, body) -> tuple[int, dict]:
    request = Request(served.url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urlopen(request, timeout=20) as response:
            return response.status, json.load(response)
    except OSError as error:
        with error:
            return error.status, json.load(error)


def test_it_tells_of_every_route_and_of_no_other(serve) -> None:
    routes = serve(ANSWERS_ITSELF).gateway._reloading.built.app._routes
    told = {path: method.upper() for path, method, _ in operations()}
    assert told == {path: method for path, (method, _) in routes.items()}


def test_it_is_served_and_is_openapi(serve) -> None:
    with urlopen(serve(ANSWERS_ITSELF).url + "/openapi.json", timeout=20) as response:
        assert response.headers["content-type"] == "application/json"
        said = json.load(response)
    assert said == json.loads(json.dumps(document()))
    schemathesis.openapi.from_dict(said).validate()


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [told["operationId"] for _, _, told in operations()]
    assert len(names) == len(set(names))


def test_an_error_has_the_shape_that_is_told() -> None:
    shape = document()["components"]["schemas"]["Error"]["properties"]["error"]
    assert set(error_body(BadRequest("n", "is odd"))["error"]) == set(shape["required"]) == set(shape["properties"])


def test_what_must_be_there_must_be_there(serve) -> None:
    served = serve(ANSWERS_ITSELF)
    for path, asked in ASKED.items():
        for name in schema_of(document()["paths"][path]["post"])["required"]:
            status, said = post(served, path, {k: v for k, v in asked.items() if k != name})
            assert status == 400 and f"'{name}'" in said["error"]["message"], (path, name, said)


def test_a_field_of_another_type_than_told_is_refused_by_its_name(serve) -> None:
    served = serve(ANSWERS_ITSELF)
    for path, asked in ASKED.items():
        for name in schema_of(document()["paths"][path]["post"])["properties"]:
            wrong = 7.5 if name in ("stream", "logprobs") else True  # which no other field may be
            status, said = post(served, path, asked | {name: wrong})
            assert status == 400 and f"'{name}'" in said["error"]["message"], (path, name, said)


def test_what_may_be_null_says_no_more_than_what_is_left_out(serve) -> None:
    served = serve(ANSWERS_ITSELF)
    for path, asked in ASKED.items():
        fields = schema_of(document()["paths"][path]["post"])["properties"].items()
        nullable = {name for name, field in fields if "null" in json.dumps(field)} - set(asked)
        status, said = post(served, path, asked)
        assert post(served, path, asked | dict.fromkeys(nullable))[0] == status, path
        assert status == {"/v1/feedback": 404, "/v1/embeddings": 400}.get(path, 200), (path, said)
