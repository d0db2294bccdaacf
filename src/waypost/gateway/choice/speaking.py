"""Whether a request can be served by a model of the pool at all, seen from the API by which it came."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from waypost.errors import BadRequest
from waypost.types import Model, Native, Query


def check(query: Query, named: str | None, models: Mapping[str, Model], may: Callable[[str], bool]) -> None:
    """Refuse what the model ``named``, or where none is named every model that the caller ``may`` call, cannot serve.

    Raises:
        BadRequest: no such model speaks the API, and the request cannot be said in another.
    """
    native = query.native
    if native is not None and native.foreign:
        able = [name for name, model in models.items() if native.api in model.card.apis and may(name)]
        _check_foreign(native, named, able)
    elif named is not None:
        apis = models[named].card.apis
        if "chat" not in apis and (native is None or native.api not in apis):
            speaks = ", ".join(sorted(apis))
            raise BadRequest("model", f"must be one that can answer; '{named}' speaks {speaks} only")


def _check_foreign(native: Native, named: str | None, able: list[str]) -> None:
    if named in able or (named is None and able):
        return
    field, _, what = native.foreign[0].partition(" ")
    who = f"'{named}' does not, ask for {', '.join(able)}" if able else "no model of the pool does"
    raise BadRequest(
        field, f"{what} can only be given to a model that speaks the {native.api} API itself; {who}".lstrip()
    )
