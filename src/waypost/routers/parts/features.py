"""What most routers look at: the prompt's vector and the facts of its surface, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from waypost.encoders import surface
from waypost.encoders.surface import SURFACE
from waypost.types import Encoder, Floats


def features(encoder: Encoder, prompts: Sequence[str]) -> Floats:
    """Features (N, encoder.dim + 8): the vectors first.

    >>> from waypost.encoders import StaticEncoder
    >>> features(StaticEncoder(), ["Hi", "2+2?"]).shape
    (2, 264)
    """
    dim = encoder.dim
    found_ND = np.empty((len(prompts), dim + len(SURFACE)))
    found_ND[:, :dim] = encoder.encode(prompts)
    found_ND[:, dim:] = surface(prompts)
    return found_ND
