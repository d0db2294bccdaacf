"""``waypost route``: explain one decision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.cli import named, output

if TYPE_CHECKING:
    from waypost.types import Decision, Prediction


def route(
    prompt: Annotated[str, typer.Argument(help="What a user would ask.")],
    config: Annotated[Path | None, typer.Option(help="A waypost.yaml; default: the one here, or the embedded.")] = None,
    router: Annotated[
        Path | None, typer.Option(help="A folder saved by train, instead of the config's router.")
    ] = None,
    objective: Annotated[list[str] | None, typer.Option(help="The trade-off, such as usd=100,local=0.1.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The decision as one JSON object.")] = False,
) -> None:
    """Explain one decision: what was expected of each model, what it scored, and why it was chosen or removed."""
    from waypost.types import Query

    deciding, default = named.pool(config, router)
    trade_off = deciding.solved(named.objective(objective or [], default))
    with named.one_thread():
        decision = deciding.strategy.decide(Query.of(prompt), trade_off)
        rows = list(_rows(decision, deciding.router.predict([prompt])))
    if json:
        facts = {"model": decision.model, "router": decision.router, "why": decision.why, "weights": decision.weights}
        output.emit([{**facts, "models": rows}], json=True)
        return
    output.emit([{**row, "removed": row["removed"] or ""} for row in rows], json=False)
    typer.echo(f"\n{decision.why}")


def _rows(decision: Decision, prediction: Prediction) -> Iterator[dict[str, Any]]:
    """Each model once: the ranking, best first, then what was removed."""
    spread = dict(zip(prediction.models, prediction.spread_NM[0].tolist(), strict=True))
    for name in (*decision.ranking, *decision.removed):
        yield {
            "model": name,
            "quality": decision.quality[name],
            "spread": spread[name],
            "usd": decision.usd[name],
            "seconds": decision.seconds[name],
            "score": decision.scores.get(name),
            "removed": decision.removed.get(name),
        }
