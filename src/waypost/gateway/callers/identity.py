"""Who asks: a caller is known by the digest of a key, and never by the key itself."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from waypost.errors import WaypostError, nearest
from waypost.gateway.wire import Busy, Headers
from waypost.store.keys import Key
from waypost.store.limits import Limits, Scopes

_log = logging.getLogger(__name__)

Keys = Literal["required", "optional", "off"]

_KEPT = 10_000
_BEARER = b"bearer "
_NO_SCOPES: Scopes = ()


class Unauthorized(WaypostError):
    """No key came, or one that is not good."""

    status = 401
    code = "invalid_api_key"


class ModelNotAllowed(WaypostError):
    """A key may not call this model."""

    status = 403
    code = "model_not_allowed"

    def __init__(self, model: str, key: Key) -> None:
        allowed = ", ".join(key.models or ()) or "none"
        super().__init__(f"the key '{key.id}' may not call '{model}'; it may call {allowed}, or 'auto' among these")


class KnownKeys(Protocol):
    """Where keys are found, without waiting."""

    def get(self, digest: str) -> Key | None:
        """The key with this digest, good or not."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, None where nobody has to say; ``rates`` and ``payers`` are the scopes with limits, of time and money.

    >>> Caller(None).tenant
    'anyone'
    """

    key: Key | None
    rates: Scopes = _NO_SCOPES
    payers: Scopes = _NO_SCOPES

    @property
    def tenant(self) -> str:
        """Whose caches and sessions are used: each key has its own, and all callers without one share theirs."""
        return "anyone" if self.key is None else f"key:{self.key.id}"

    def may_call(self, model: str) -> bool:
        """Whether a model is among those of the key."""
        return self.key is None or self.key.models is None or model in self.key.models

    def check(self, model: str) -> None:
        """Refuse a model that is not among those of the key.

        Raises:
            ModelNotAllowed: it is not; the sentence names those that are.
        """
        if self.key is not None and not self.may_call(model):
            raise ModelNotAllowed(model, self.key)

    def owns(self, key_id: str | None) -> bool:
        """Whether a row of the log is the caller's own."""
        return (None if self.key is None else self.key.id) == key_id


NOBODY = Caller(None)


@dataclass(slots=True)
class Identity:
    """Tells callers by the headers of their requests.

    ``keys`` says whether a key is required, optional (without one the caller is nobody, and a wrong one is refused all
    the same) or off (nobody is asked, whatever is sent).  ``met`` is told of each key when it is first seen, and when
    it has changed.

    >>> from waypost.store.keys import digest
    >>> laptop = Key("k1", "laptop", digest("wp-some-secret"))
    >>> identity = Identity("required", {laptop.digest: laptop})
    >>> identity.caller([(b"authorization", b"Bearer wp-some-secret")]).key.name
    'laptop'
    """

    keys: Keys = "off"
    known: KnownKeys | Mapping[str, Key] = field(default_factory=dict)
    teams: Mapping[str, Limits] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    met: Callable[[Caller], None] = lambda caller: None
    _callers: dict[str, Caller] = field(default_factory=dict)
    _strange: set[str] = field(default_factory=set)  # teams that the config does not know, told once

    def caller(self, headers: Headers) -> Caller:
        """Who sends a request.

        Raises:
            Unauthorized: there is no key and one is required, or the key is unknown, expired or revoked.
            Busy: no key could be read yet.
        """
        if self.keys == "off":
            return NOBODY
        secret = _secret(headers)
        if secret is None and self.keys == "optional":
            return NOBODY
        # Whatever was sent is hashed whole, and looked up once: how long that takes says nothing of any key.
        digest = hashlib.sha256(secret or b"").hexdigest()
        key = self.known.get(digest)
        if key is None:
            if not getattr(self.known, "loaded", True):
                raise Busy("the keys cannot be read yet; try again")
            raise Unauthorized(_UNKNOWN if secret else _MISSING)
        if not key.valid(self.clock()):
            raise Unauthorized(
                f"the key '{key.id}' {'was revoked' if key.disabled else 'has expired'}; ask for another"
            )
        caller = self._callers.get(digest)
        if caller is None or caller.key is not key:
            caller = self._meet(key)
        return caller

    def _meet(self, key: Key) -> Caller:
        old = self._callers.get(key.digest)
        if old is not None and old.key == key:  # read anew, and nothing has changed
            caller = Caller(key, old.rates, old.payers)
        else:
            scopes = [(f"key:{key.id}", key.limits)]
            if key.team is not None and key.team in self.teams:
                scopes.append((f"team:{key.team}", self.teams[key.team]))
            elif key.team is not None and key.team not in self._strange:
                self._strange.add(key.team)
                _log.warning("the key '%s' %s", key.id, unknown_team(key.team, self.teams))
            rates = tuple(scope for scope in scopes if scope[1].rates)
            payers = tuple(scope for scope in scopes if scope[1].usd is not None)
            caller = Caller(key, rates, payers)
            self.met(caller)
        if len(self._callers) >= _KEPT:
            self._callers.clear()
        self._callers[key.digest] = caller
        return caller


def unknown_team(team: str, teams: Iterable[str]) -> str:
    """What to say of a key whose team has no limits, as the end of a sentence.

    >>> unknown_team("reserch", ["research"])
    "is of the team 'reserch', which has no limits: the config's `teams` are research. Did you mean 'research'?"
    """
    known = ", ".join(teams)
    said = f"are {known}.{nearest(team, teams)}" if known else "are none"
    return f"is of the team '{team}', which has no limits: the config's `teams` {said}"


_MISSING = "this server wants a key: send it as 'Authorization: Bearer wp-…' or 'x-api-key: wp-…'"
_UNKNOWN = "the key that was sent is not known here; check it, or ask who runs this server for one"


def _secret(headers: Headers) -> bytes | None:
    """The key in ``Authorization: Bearer`` or, as Anthropic's clients send it, in ``x-api-key``."""
    found = None
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == _BEARER:
            return value[7:].strip() or None
        if name == b"x-api-key":
            found = value.strip() or None
    return found
