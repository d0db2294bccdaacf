"""Telling one fitted router from another."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import orjson

from waypost.routers.storage import leaves


def fingerprint(router: Any) -> str:
    """SHA-256 of a router's class, settings and all that it learned; saving and loading leave it as it is.

    Of a user's own class that is no dataclass, its name is all that is known.

    >>> from waypost.outcomes import example_table
    >>> from waypost.routers import make
    >>> first, again, other = (make("knn", k=k).fit(example_table(50)) for k in (5, 5, 6))
    >>> fingerprint(first) == fingerprint(again), fingerprint(first) == fingerprint(other)
    (True, False)
    """
    digest = hashlib.sha256(type(router).__qualname__.encode())
    for name, value in leaves(router) if dataclasses.is_dataclass(router) else ():
        digest.update(f"\0{name}\0".encode())
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        else:
            digest.update(orjson.dumps(value, default=_named))
    return digest.hexdigest()


def _named(value: object) -> str:
    """What stands for an encoder, or another thing that JSON cannot hold."""
    return str(getattr(value, "name", type(value).__qualname__))
