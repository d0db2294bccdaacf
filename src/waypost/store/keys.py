"""Who may call: a key's name, team, models and limits, found by the digest of its secret."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field

from waypost.store.limits import Limits

_PREFIX = "wp-"


@dataclass(frozen=True, slots=True)
class Key:
    """A caller's key; of its secret only the ``digest`` (SHA-256, in hex) is known.

    ``models`` are the names that it may call, None means all; ``expires`` is in Unix seconds.

    >>> key = Key("k1", "laptop", digest("wp-some-secret"), expires=100.0)
    >>> key.valid(now=99.0), key.valid(now=100.0)
    (True, False)
    """

    id: str
    name: str
    digest: str = field(repr=False)
    team: str | None = None
    models: tuple[str, ...] | None = None
    limits: Limits = field(default_factory=Limits)
    expires: float | None = None
    disabled: bool = False

    def valid(self, now: float) -> bool:
        """Whether the key may be used at a time in Unix seconds."""
        return not self.disabled and (self.expires is None or now < self.expires)


def digest(secret: str) -> str:
    """The SHA-256 of a secret, in hex: all that is ever stored of it.

    >>> digest("wp-some-secret")[:16]
    'c36aa445a41005af'
    """
    # A secret is 256 random bits, so that a slow hash or a salt would protect nothing, and cost every request.
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    """A secret that nobody can guess: ``wp-`` and 43 characters that are safe in URLs and headers.

    >>> len(new_secret()), new_secret().startswith("wp-")
    (46, True)
    """
    return _PREFIX + secrets.token_urlsafe(32)
