"""Routers of tokens, one algorithm a file; this list is the only registry.

Each takes the width of tokens, the number of experts and k first, and its own settings after them.
"""

from __future__ import annotations

import re

from waypost.experts.routers.autonomy import Autonomy as Autonomy
from waypost.experts.routers.stable import Stable as Stable
from waypost.experts.routers.top_k import TopK as TopK
from waypost.experts.routers.vector_quantised import VectorQuantised as VectorQuantised

#: Every router by its name.
ROUTERS: dict[str, type] = {
    re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower(): made
    for name, made in dict(globals()).items()
    if isinstance(made, type)
}
