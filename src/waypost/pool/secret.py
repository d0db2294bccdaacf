"""A key that cannot be printed by accident."""

from __future__ import annotations

import hmac
from typing import NoReturn, Self

_MASK = "Secret(***)"


class Secret:
    """Text that shows itself only when asked by name; it cannot be printed, formatted, copied out or serialised.

    >>> key = Secret("sk-live-123")
    >>> key, f"Bearer {key}", key.reveal()
    (Secret(***), 'Bearer Secret(***)', 'sk-live-123')
    """

    # A slot and not a __dict__: vars(), json's default=vars and debuggers' dumps have nothing to show.
    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; call it only where the key leaves for its provider."""
        return self._text

    def __repr__(self) -> str:
        return _MASK

    def __format__(self, _: str) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a Secret is never serialised; keep the name of its environment variable instead")
