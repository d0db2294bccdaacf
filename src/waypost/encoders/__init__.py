"""Text to vectors."""

from collections.abc import Callable, Mapping

from waypost.encoders.hub import PREFIX, HubEncoder
from waypost.encoders.language_model import LanguageModel
from waypost.encoders.minilm import MiniLM
from waypost.encoders.static import StaticEncoder
from waypost.encoders.surface import surface
from waypost.errors import BadInput, nearest
from waypost.types import Encoder

ENCODERS: Mapping[str, Callable[[], Encoder]] = {
    StaticEncoder.name: StaticEncoder,
    MiniLM.name: MiniLM,
    LanguageModel.name: LanguageModel,
}


def named(name: str) -> Encoder:
    """The encoder of this name, which is what a saved router keeps of it.

    Nothing is loaded before the first text.

    Raises:
        BadInput: a name that is not registered.

    >>> named("minilm").dim, named("hub:intfloat/e5-small-v2").name
    (384, 'hub:intfloat/e5-small-v2')
    """
    if name.startswith(PREFIX):
        return HubEncoder(name)
    if name not in ENCODERS:
        known = ", ".join((*ENCODERS, "hub:owner/name", "hub:./folder"))
        raise BadInput(f"no encoder '{name}'; there is {known}.{nearest(name, ENCODERS)}")
    return ENCODERS[name]()


__all__ = ["ENCODERS", "HubEncoder", "LanguageModel", "MiniLM", "StaticEncoder", "named", "surface"]
