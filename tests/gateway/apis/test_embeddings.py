"""What the stock ``openai`` client sees of the embeddings API: vectors of a provider, and of an encoder of ours."""

from __future__ import annotations

import numpy as np
import openai
import pytest

from waypost.encoders import StaticEncoder

OURS = "models:\n  - {name: ours, kind: encoder, encoder: static-256}\n"
TEXTS = ["How many miles is 5 km?", "Good morning!"]


@pytest.fixture
def native(upstream):
    """The YAML of a chat model, a model that makes embeddings at the provider, and one of ours."""
    reached = f"kind: openai, base_url: '{upstream.url}', api_key: '${{KEY}}'"
    return f"""{OURS}
  - {{name: small, {reached}, apis: [chat], usd_per_mtok_in: 1, usd_per_mtok_out: 1}}
  - {{name: far, {reached}, apis: [embeddings], usd_per_mtok_in: 0.02}}
router: cheapest"""


def test_a_providers_vectors_pass_as_they_came_and_are_paid(serve, native, upstream):
    served = serve(native)
    reply = served.client.embeddings.with_raw_response.create(
        model="far", input=[[1, 2], [3]], encoding_format="base64", dimensions=2, extra_body={"vendor": 1}
    )
    assert b'"embedding": "AACAPwAAAEA=", "vendor": "kept"' in reply.http_response.content
    sent = upstream.seen[-1]
    assert (upstream.heads[-1][0], sent["input"], sent["dimensions"], sent["vendor"]) == (
        "/v1/embeddings",
        [[1, 2], [3]],
        2,
        1,
    )
    assert float(reply.headers["x-waypost-cost"]) == pytest.approx(1000 * 0.02 / 1e6)
    row = served.client.get(f"/decisions/{reply.headers['x-waypost-decision']}", cast_to=object)
    assert (row["tokens_in"], row["tokens_out"], row["served"]) == (1000, 0, "far")
    # The client asks for base64 by itself, and reads the numbers out of it.
    assert served.client.embeddings.create(model="far", input="Hi").data[0].embedding == [1.0, 2.0]


def test_an_encoder_of_ours_needs_no_provider(serve):
    served = serve(OURS)
    expected = StaticEncoder().encode(TEXTS)
    for form in ({}, {"encoding_format": "float"}):
        made = served.client.embeddings.create(model="ours", input=TEXTS, **form)
        assert np.allclose([row.embedding for row in made.data], expected)
    assert (made.model, made.usage.prompt_tokens) == ("ours", 10)
    with pytest.raises(openai.BadRequestError) as refused:
        served.client.embeddings.create(model="ours", input=TEXTS, dimensions=64)
    assert refused.value.param == "dimensions"


def test_the_model_must_be_named(serve, native):
    served = serve(native)
    for model in ("auto", "auto:default"):
        with pytest.raises(openai.BadRequestError, match="vectors of different models cannot be compared") as refused:
            served.client.embeddings.create(model=model, input="Hi")
        assert refused.value.param == "model"


def test_a_chat_model_is_refused_with_those_that_can(serve, native):
    with pytest.raises(openai.BadRequestError, match="'small' does not, ask for ours, far"):
        serve(native).client.embeddings.create(model="small", input="Hi")


def test_a_model_that_makes_embeddings_is_never_chosen_for_a_chat(serve, native):
    served = serve(native)
    messages = [{"role": "user", "content": "Hi"}]
    assert served.client.chat.completions.create(model="auto", messages=messages).model.startswith("small")
    for model in ("far", "ours"):
        with pytest.raises(openai.BadRequestError, match=f"'{model}' speaks embeddings only"):
            served.client.chat.completions.create(model=model, messages=messages)


def test_a_pool_without_anything_to_chat_with_says_so(serve):
    with pytest.raises(openai.UnprocessableEntityError, match="ours: speaks embeddings only"):
        serve(OURS).client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize("body", [{}, {"input": ""}, {"input": []}, {"input": 3}, {"input": ["a", 1]}])
def test_an_input_that_is_none_is_named(serve, body):
    with pytest.raises(openai.BadRequestError) as refused:
        serve(OURS).client.post("/embeddings", body={"model": "ours", **body}, cast_to=object)
    assert refused.value.param == "input"


def test_our_own_field_stays_here_and_a_stream_is_refused(serve, native, upstream):
    client = serve(native).client
    client.embeddings.create(model="far", input="Hi", extra_body={"waypost": {}})
    assert "waypost" not in upstream.seen[-1]
    with pytest.raises(openai.BadRequestError, match="embeddings come whole"):
        client.embeddings.create(model="far", input="Hi", extra_body={"stream": True})


def test_a_providers_refusal_is_told(serve, pool):
    with pytest.raises(openai.RateLimitError) as refused:
        serve(pool("limit429")).client.embeddings.create(model="limit429", input="Hi")
    assert refused.value.response.headers["retry-after"] == "7"


def test_only_the_same_model_elsewhere_takes_over(serve, upstream):
    def row(name, url, of):
        reached = f"kind: openai, base_url: '{url}', api_key: '${{KEY}}', upstream: {of}, apis: [embeddings]"
        return f"  - {{name: {name}, {reached}, usd_per_mtok_in: 1}}"

    nowhere = "http://127.0.0.1:1/v1"
    rows = [row("first", nowhere, "one"), row("other", upstream.url, "two"), row("second", upstream.url, "one")]
    served = serve("\n".join(["models:", *rows, "fallback: {first: [other, second]}", "router: cheapest"]))
    reply = served.client.embeddings.with_raw_response.create(model="first", input="Hi")
    assert reply.headers["x-waypost-attempts"] == "first=failed,second=ok"
