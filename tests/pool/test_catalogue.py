"""Prices: those stated stay, those known are found, those unknown stay unknown."""

from datetime import UTC, datetime

import pytest

from waypost.pool import catalogue
from waypost.pool.catalogue import LOCAL, priced
from waypost.types import ModelCard


def test_every_local_model_has_a_price_above_zero():
    for card in LOCAL.values():
        assert card.usd(100, 100) > 0, card.name


def test_a_local_call_costs_its_machine_time():
    seconds = 1000 / 90
    assert LOCAL["smollm2-135m"].usd(0, 1000) == pytest.approx(0.05 / 3600 * seconds, rel=1e-3)
    assert LOCAL["translate"].usd(50, 50) == pytest.approx(0.05 / 3600 * 0.015)


def test_a_hosted_models_list_price_is_found_by_its_upstream_name():
    card = priced(ModelCard("quick"), "gpt-4o-mini")
    assert (card.usd_per_mtok_in, card.usd_per_mtok_out) == (0.15, 0.6)
    assert card.name == "quick"
    assert priced(ModelCard("routed"), "openai/gpt-4o-mini").usd_per_mtok_in == 0.15


def test_half_a_stated_price_is_completed_and_not_overwritten():
    card = priced(ModelCard("quick", usd_per_mtok_in=9.0), "gpt-4o-mini")
    assert (card.usd_per_mtok_in, card.usd_per_mtok_out) == (9.0, 0.6)


def test_list_prices_of_cached_written_and_thought_tokens_come_along():
    card = priced(ModelCard("claude"), "claude-sonnet-4-5")
    assert card.usd_per_mtok_cached < card.usd_per_mtok_in < card.usd_per_mtok_written
    assert card.usd(1000, 0, cached=900) < card.usd(1000, 0) < card.usd(1000, 0, written=900)
    researcher = priced(ModelCard("r"), "perplexity/sonar-deep-research")
    assert researcher.usd_per_mtok_reasoning < researcher.usd_per_mtok_out


def test_a_discount_is_not_guessed_beside_a_stated_price():
    card = priced(ModelCard("quick", usd_per_mtok_in=9.0), "claude-sonnet-4-5")
    assert (card.usd_per_mtok_cached, card.usd_per_mtok_written) == (None, None)
    stated = priced(ModelCard("quick", usd_per_mtok_cached=0.01), "claude-sonnet-4-5")
    assert (stated.usd_per_mtok_in, stated.usd_per_mtok_cached) == (3.0, 0.01)


@pytest.mark.parametrize("card", [ModelCard("home-made"), ModelCard("gpt-4o-mini", local=True)])
def test_an_unknown_price_stays_unknown(card):
    assert priced(card) == card
    assert priced(card).usd(1, 1) is None


@pytest.mark.parametrize("hour", [2, 20])
def test_a_price_that_depends_on_the_hour_is_always_the_higher(hour, monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 11, 22, hour, tzinfo=UTC)

    monkeypatch.setattr(catalogue, "datetime", Clock)
    card = priced(ModelCard("deepseek-chat"))
    assert (card.usd_per_mtok_in, card.usd_per_mtok_out) == (0.27, 1.1), "off-peak it is half of that"


@pytest.mark.parametrize("name", ["whisper-1", "tts-1", "mistral-ocr-2503", "grok-voice-latest", "voyage-3"])
def test_what_is_not_priced_by_the_token_is_unknown_and_not_free(name):
    assert priced(ModelCard(name)).usd(1000, 1000) is None


def test_a_model_that_is_free_by_name_costs_nothing():
    assert priced(ModelCard("mistral-nemo:free")).usd(1000, 1000) == 0
