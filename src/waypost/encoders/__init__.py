"""Text to vectors."""

from collections.abc import Callable, Mapping

from waypost.encoders.static import StaticEncoder
from waypost.encoders.surface import surface
from waypost.errors import BadInput, nearest
from waypost.types import Encoder

ENCODERS: Mapping[str, Callable[[], Encoder]] = {StaticEncoder.name: StaticEncoder}


def named(name: str) -> Encoder:
    """The encoder that a saved router was fitted with.

    Raises:
        BadInput: a name that is not registered.
    """
    if name not in ENCODERS:
        raise BadInput(f"no encoder '{name}'; there is {', '.join(ENCODERS)}.{nearest(name, ENCODERS)}")
    return ENCODERS[name]()


__all__ = ["ENCODERS", "StaticEncoder", "named", "surface"]
