"""What every exact expert declines because it could not obey it."""

import pytest

from waypost.errors import Declined
from waypost.pool.arithmetic import Arithmetic
from waypost.pool.catalogue import LOCAL
from waypost.types import Query

MODEL = Arithmetic(LOCAL["arithmetic"])


def asked(system=None, **parameters):
    head = ({"role": "system", "content": system},) if system else ()
    return Query((*head, {"role": "user", "content": "6 * 7"}), parameters)


@pytest.mark.parametrize(
    "query",
    [
        asked(),
        asked("You are a helpful assistant."),
        asked(response_format={"type": "text"}),
        asked(tools=[{"type": "function"}], tool_choice="auto"),
    ],
)
async def test_requests_without_a_special_wish_are_answered(query):
    assert (await MODEL.complete(query)).text == "42"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (asked("Answer in JSON."), "system message"),
        (asked(response_format={"type": "json_object"}), "wants json_object output"),
        (asked(tools=[{"type": "function"}], tool_choice="required"), "forces a tool call"),
    ],
)
async def test_wishes_that_it_cannot_obey_are_declined(query, told):
    with pytest.raises(Declined, match=told):
        await MODEL.complete(query)
