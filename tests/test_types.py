"""What a call costs by its model's card."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.types import ModelCard

COUNT = st.integers(0, 10**7)
PRICE = st.floats(0, 100)


@given(COUNT, COUNT, COUNT, COUNT, COUNT, PRICE, PRICE)
def test_without_prices_of_their_own_parts_cost_what_the_whole_does(fresh, cached, written, said, thought, read, write):
    card = ModelCard("m", usd_per_mtok_in=read, usd_per_mtok_out=write, usd_per_call=0.1)
    whole = fresh + cached + written, said + thought
    assert card.usd(*whole, cached=cached, written=written, reasoning=thought) == pytest.approx(card.usd(*whole))


@given(COUNT, COUNT, COUNT)
def test_every_token_is_billed_once(fresh, cached, written):
    one = ModelCard("m", usd_per_mtok_in=1, usd_per_mtok_out=0, usd_per_mtok_cached=1, usd_per_mtok_written=1)
    assert one.usd(fresh + cached + written, 0, cached=cached, written=written) * 1e6 == pytest.approx(
        fresh + cached + written
    )


def test_a_price_of_zero_is_a_price_and_a_missing_one_is_not():
    free = ModelCard("m", usd_per_mtok_in=2.0, usd_per_mtok_out=1.0, usd_per_mtok_cached=0.0)
    assert (free.usd(10**6, 0, cached=10**6), free.usd(10**6, 0)) == (0.0, 2.0)
    assert ModelCard("m", usd_per_mtok_cached=0.0, usd_per_mtok_out=1.0).usd(1, 1) is None


@pytest.mark.parametrize("parts", [{"cached": 8, "written": 3}, {"reasoning": 6}])
def test_parts_above_the_whole_are_refused(parts):
    with pytest.raises(ValueError, match="the parts cannot be more than the whole"):
        ModelCard("m", usd_per_mtok_in=1.0, usd_per_mtok_out=1.0).usd(10, 5, **parts)
