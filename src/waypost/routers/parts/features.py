"""What most routers look at: the prompt's vector and the facts of its surface, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from waypost.encoders.surface import SURFACE, facts
from waypost.types import Encoder, Floats

_Any = TypeVar("_Any", Floats, NDArray[np.float32])


def features(encoder: Encoder, prompts: Sequence[str]) -> Floats:
    """Features (N, encoder.dim + 8): the vectors first.

    >>> from waypost.encoders import StaticEncoder
    >>> features(StaticEncoder(), ["Hi", "2+2?"]).shape
    (2, 264)
    """
    return _filled(np.empty((len(prompts), encoder.dim + len(SURFACE))), encoder, prompts)


def single_features(encoder: Encoder, prompts: Sequence[str]) -> NDArray[np.float32]:
    """The same in single precision."""
    return _filled(np.empty((len(prompts), encoder.dim + len(SURFACE)), dtype=np.float32), encoder, prompts)


def _filled(out_ND: _Any, encoder: Encoder, prompts: Sequence[str]) -> _Any:
    out_ND[:, : encoder.dim] = encoder.encode(prompts)
    for row_D, prompt in zip(out_ND, prompts, strict=True):
        row_D[encoder.dim :] = facts(prompt)
    return out_ND
