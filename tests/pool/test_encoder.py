"""Embeddings made here: the vectors of the encoder, in both of OpenAI's forms, and nothing else."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from waypost.encoders import StaticEncoder
from waypost.errors import BadInput, BadRequest, Declined
from waypost.pool.encoder import LocalEncoder
from waypost.types import ModelCard, Native, Query

TEXTS = ["How many miles is 5 km?", "Good morning!"]


def asking(**body) -> Query:
    return Query((), native=Native("embeddings", body))


@pytest.fixture
def model() -> LocalEncoder:
    return LocalEncoder(ModelCard("ours", local=True), encoder="static-256")


async def test_the_vectors_are_those_of_the_encoder_in_the_order_of_the_texts(model):
    answer = await model.complete(asking(input=TEXTS))
    body = json.loads(answer.raw)
    assert [row["index"] for row in body["data"]] == [0, 1]
    assert np.allclose([row["embedding"] for row in body["data"]], StaticEncoder().encode(TEXTS))
    assert body["model"] == answer.model == "ours"
    assert answer.tokens_in == body["usage"]["prompt_tokens"] > 0
    assert answer.usd == pytest.approx(answer.tokens_in * 1e-11)


async def test_base64_holds_the_same_numbers(model):
    answer = await model.complete(asking(input=TEXTS[0], encoding_format="base64"))
    (row,) = json.loads(answer.raw)["data"]
    vector = np.frombuffer(base64.b64decode(row["embedding"]), dtype="<f4")
    assert np.array_equal(vector, StaticEncoder().encode(TEXTS[:1])[0])


@pytest.mark.parametrize(
    ("body", "field"),
    [({"input": [1, 2]}, "input"), ({"input": [[1]]}, "input"), ({"input": "Hi", "dimensions": 64}, "dimensions")],
)
async def test_what_it_cannot_do_is_refused_by_the_fields_name(model, body, field):
    with pytest.raises(BadRequest) as error:
        await model.complete(asking(**body))
    assert error.value.field == field


async def test_a_chat_is_declined(model):
    with pytest.raises(Declined, match="makes embeddings and answers nothing"):
        await anext(model.stream(Query.of("Hi")))


def test_an_unknown_encoder_is_refused_with_the_nearest_name():
    with pytest.raises(BadInput, match="Did you mean 'static-256'"):
        LocalEncoder(ModelCard("ours"), encoder="static-265")
