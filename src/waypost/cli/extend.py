"""``waypost extend``: teach a saved router a model that it has not seen, without training it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from waypost.cli import named, output
from waypost.errors import BadInput, UnknownModel

if TYPE_CHECKING:
    from waypost.types import ModelCard


def extend(
    router: Annotated[Path, typer.Argument(help="A folder saved by waypost train.")],
    table: Annotated[Path, typer.Argument(help="A table in which the new model was measured; some 50 rows will do.")],
    model: Annotated[str, typer.Option(help="The new model's name in the table.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    format: Annotated[str, typer.Option(help="waypost, routerdc … (see waypost import).")] = "waypost",
    config: Annotated[Path | None, typer.Option(help="A waypost.yaml that has the new model's card.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
) -> None:
    """Add a model to a fitted router from a few of its outcomes; what it knows of the others stays as it is."""
    from waypost import routers

    made = routers.load(router)
    if not hasattr(made, "with_model"):
        able = [name for name, kind in routers.KINDS.items() if hasattr(kind, "with_model")]
        kind = routers.name_of(made)
        raise BadInput(
            f"{router} holds a '{kind}', which is trained anew with a new model; {', '.join(able)} need not be"
        )
    name, outcomes = named.table(table, format)
    if model not in outcomes.models:
        raise UnknownModel(model, outcomes.models)
    measured = int(np.isfinite(outcomes.quality_NM[:, outcomes.models.index(model)]).sum())
    with named.one_thread(fits=True), output.fitting(f"adding {model} from {measured:,} rows of {name}"):
        wider = made.with_model(_card(model, config), outcomes)
        routers.save(wider, out, sample=named.few(outcomes.prompts))
    report = {
        "router": routers.name_of(made),
        "out": str(out),
        "model": model,
        "rows": measured,
        "models": wider.models,
    }
    if json:
        output.emit([report], json=True)
        return
    typer.echo(f"saved in {out}, which now knows {', '.join(wider.models)}; "
               f"try it with: waypost route --router {out} 'your prompt'")  # fmt: skip


def _card(model: str, config: Path | None) -> ModelCard:
    from waypost.gateway import settings
    from waypost.types import ModelCard

    found = {one.name: one.card for one in settings.load(config).models} if config else {}
    return found.get(model, ModelCard(model))
