"""Callers' keys in the store: made, listed, changed, revoked, and given a new secret."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from waypost.errors import BadInput, nearest
from waypost.store.database import Database
from waypost.store.keys import Key, digest, new_secret
from waypost.store.limits import Limits
from waypost.store.tables import tables


class UnknownKey(BadInput):
    """No key has this id."""

    status = 404
    code = "key_not_found"

    def __init__(self, id: str, known: Sequence[str]) -> None:
        super().__init__(f"no key has the id '{id}'; `waypost keys list` shows them.{nearest(id, known)}")


class KeyStore:
    """The keys of a store; a secret is returned once, and only its digest is kept.

    Every method waits for the database, and raises `StoreDown` when that does not answer.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = KeyStore(Database(Path(folder) / "waypost.sqlite"))
    ...     key, secret = store.create("laptop", team="research")
    ...     found = store.find_all()
    ...     store.database.close()
    >>> found[digest(secret)] == key
    True
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def create(
        self,
        name: str,
        *,
        team: str | None = None,
        models: Sequence[str] | None = None,
        limits: Limits | None = None,
        expires: float | None = None,
    ) -> tuple[Key, str]:
        """Make a key; returns it and its secret, which nobody can learn again."""
        secret = new_secret()
        allowed = tuple(models) if models is not None else None
        key = Key(secrets.token_hex(6), name, digest(secret), team, allowed, limits or Limits(), expires)
        with self.database.begin() as connection:
            connection.execute(tables().keys.insert(), [{**_row(key), "created": time.time()}])
        return key, secret

    def list(self) -> list[Key]:
        """All keys, oldest first, revoked ones too."""
        keys = tables().keys
        with self.database.begin() as connection:
            rows = connection.execute(keys.select().order_by(keys.c.created, keys.c.id)).mappings().all()
        return [_key(dict(row)) for row in rows]

    def find_all(self) -> dict[str, Key]:
        """All keys by their digests."""
        return {key.digest: key for key in self.list()}

    def revoke(self, id: str) -> None:
        """Refuse a key from now on.

        Raises:
            UnknownKey: no key has this id.
        """
        self.change(id, lambda key: replace(key, disabled=True))

    def rotate(self, id: str) -> str:
        """Give a key a new secret, which is returned; the old one is refused from now on.

        Raises:
            UnknownKey: no key has this id.
            BadInput: it was revoked.
        """
        secret = new_secret()

        def renewed(key: Key) -> Key:
            if key.disabled:
                raise BadInput(f"the key '{id}' was revoked, so a new secret would be refused too; make another key")
            return replace(key, digest=digest(secret))

        self.change(id, renewed)
        return secret

    def change(self, id: str, changed: Callable[[Key], Key]) -> Key:
        """Make of a key what ``changed`` makes of it, its id apart; returns that.

        Raises:
            UnknownKey: no key has this id.
        """
        keys = tables().keys
        with self.database.begin() as connection:
            found = connection.execute(keys.select().where(keys.c.id == id).with_for_update()).mappings().first()
            if found is None:
                raise UnknownKey(id, tuple(connection.execute(keys.select()).scalars()))
            old = _key(dict(found))
            new = changed(old)
            # No more than has changed: where rows cannot be locked another may have changed the rest meanwhile.
            was = _row(old)
            values = {name: value for name, value in _row(new).items() if value != was[name]}
            if values:
                connection.execute(keys.update().where(keys.c.id == id).values(**values))
        return new


def _row(key: Key) -> dict[str, Any]:
    limits = key.limits
    return {
        "id": key.id,
        "name": key.name,
        "digest": key.digest,
        "team": key.team,
        "models": None if key.models is None else list(key.models),
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "parallel": limits.parallel,
        "usd": limits.usd,
        "per": limits.per,
        "expires": key.expires,
        "disabled": key.disabled,
    }


def _key(row: dict[str, Any]) -> Key:
    return Key(
        id=row["id"],
        name=row["name"],
        digest=row["digest"],
        team=row["team"],
        models=None if row["models"] is None else tuple(row["models"]),
        limits=Limits(
            requests_per_minute=row["requests_per_minute"],
            tokens_per_minute=row["tokens_per_minute"],
            parallel=row["parallel"],
            usd=row["usd"],
            per=row["per"],
        ),
        expires=row["expires"],
        disabled=row["disabled"],
    )
