"""Prices that turn counted tokens into costs where a file states none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from waypost.errors import BadInput

if TYPE_CHECKING:
    from waypost.pool.usage import Usage
    from waypost.types import ModelCard, Outcome


@dataclass
class Pricing:
    """What makes costs of tokens, how often it did, and how often it could not as only half of the tokens are known."""

    cards: dict[str, ModelCard]
    from_list: bool = False
    asked: bool = True
    done: int = 0
    halves: int = 0

    @classmethod
    def of(cls, prices: str | None) -> Self:
        """The pricing that ``--prices`` asks for: a .json or .yaml file, ``list`` for list prices, or none.

        Raises:
            BadInput: another kind of file, or one that is no price list.
        """
        return cls(_cards(prices), from_list=prices == "list", asked=prices is not None)

    def priced(self, rows: Iterator[Outcome]) -> Iterator[Outcome]:
        """The rows, with a cost where none was stated, tokens in and out were counted, and the model has a price."""
        for row in rows:
            usage = _usage(row) if row.usd is None else None
            usd = usage and usage.usd(self._card(row.model))
            self.halves += row.usd is None and bool(row.tokens_in) != bool(row.tokens_out)
            self.done += usd is not None
            yield row if usd is None else replace(row, usd=usd)

    def sentences(self) -> list[str]:
        """How many answers were priced, and which models were not."""
        lacking = [name for name, card in self.cards.items() if card.usd(1, 1) is None]
        said = [f"answers priced by their tokens: {self.done:,}"] if self.done else []
        if self.halves and self.asked:
            said.append(f"answers with tokens in or out unknown, which have no price: {self.halves:,}")
        return said + ([f"no price is known of {', '.join(lacking)}"] if lacking and self.asked else [])

    def _card(self, name: str) -> ModelCard:
        from waypost.pool.catalogue import priced
        from waypost.types import ModelCard

        if name not in self.cards:
            self.cards[name] = priced(ModelCard(name)) if self.from_list else ModelCard(name)
        return self.cards[name]


def _usage(row: Outcome) -> Usage | None:
    """What the tokens of a row bill, by the rule for providers' counts; None where a count is unknown, which is 0."""
    from waypost.pool.usage import Usage

    if not (row.tokens_in and row.tokens_out):
        return None
    parts = row.tokens_cached, row.tokens_written, row.tokens_reasoning
    return Usage.of(Usage(row.tokens_in, row.tokens_out, *parts).json())


def _cards(prices: str | None) -> dict[str, ModelCard]:
    """The cards of a price list: JSON as LLMRouter writes it, or the models of a waypost.yaml."""
    from waypost.gateway import settings

    if prices is None or prices == "list":
        return {}
    path = Path(prices)
    if path.suffix in (".yaml", ".yml"):
        return {model.name: model.card for model in settings.load(path).models}
    if path.suffix == ".json":
        return _listed(path)
    raise BadInput(f"--prices is {prices}; give a .json or .yaml file, or 'list' for the providers' list prices")


def _listed(path: Path) -> dict[str, ModelCard]:
    import orjson

    from waypost.types import ModelCard

    try:
        found = orjson.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"cannot read --prices {path}: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise BadInput(f"--prices {path} is not JSON: {error}") from error
    if not isinstance(found, Mapping):
        raise BadInput(
            f'--prices {path} must be an object such as {{"model": {{"input_price": 2, "output_price": 8}}}}'
        )
    cards = {}
    for name, entry in found.items():
        pair = [entry.get(f"{side}_price") if isinstance(entry, Mapping) else None for side in ("input", "output")]
        if not all(_is_price(price) for price in pair):
            raise BadInput(f"--prices {path}: {name!r} needs input_price and output_price, USD per million tokens")
        cards[name] = ModelCard(name, usd_per_mtok_in=pair[0], usd_per_mtok_out=pair[1])
    return cards


def _is_price(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
