"""What can go wrong, in one tree; ``status`` is the HTTP status the gateway gives it.

::

    WaypostError (500)
    ├── BadInput (400)            what the user sent or wrote is wrong
    │   ├── BadConfig             a config file: path, line, field, what is allowed
    │   ├── BadRequest            an HTTP body: ``field`` names the culprit
    │   ├── BadTable              an outcomes table: which row, which column
    │   └── UnknownModel (404)    a name outside the pool, with the nearest ones
    ├── NotFitted                 predict before fit
    ├── NoModelLeft (422)         the constraints removed every model
    ├── NotInstalled              a file or an extra is missing; says the command that brings it
    ├── RankMissing               a process of a distributed layer does not answer; says which and for how long
    └── ModelFailed (502)         a call failed; ``status`` and ``retry_after`` as far as known
        ├── ModelTimeout (504)
        ├── ProviderRefused   the provider refuses our key
        └── Declined              the model says that this is not for it
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class WaypostError(Exception):
    """Any error that Waypost raises on purpose."""

    status = 500
    code = "internal_error"
    in_vain = False  # whether the same request cannot go better soon


class BadInput(WaypostError, ValueError):
    """What came from the user cannot be used."""

    status = 400
    code = "invalid_request_error"


class BadConfig(BadInput):
    """A config file cannot be used; the sentence names file, line and field, ``others`` are further mistakes in it."""

    def __init__(self, sentence: str, others: Sequence[BadConfig] = ()) -> None:
        super().__init__(sentence)
        self.others = tuple(others)


class BadRequest(BadInput):
    """A request cannot be used; ``field`` names the culprit.

    >>> BadRequest("temperature", "must be a number, got 'hot'")
    BadRequest("'temperature' must be a number, got 'hot'")
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field = shown(field)
        super().__init__(f"'{self.field}' {problem}")


class BadTable(BadInput):
    """An outcomes table cannot be used; the sentence names row and column."""


class UnknownModel(BadInput):
    """A model's name is not in the pool.

    >>> UnknownModel("larg", ["small", "large"])
    UnknownModel("no model 'larg' in the pool; it has large, small. Did you mean 'large'?")
    """

    status = 404
    code = "model_not_found"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        has = ", ".join(names) or "none"
        super().__init__(f"no model '{shown(name)}' in the pool; it has {has}.{nearest(name, names)}")
        self.name = name


class NotFitted(WaypostError):
    """A router was asked before it was fitted or loaded."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not fitted; call fit(outcomes) or load a saved one first")


class NotHere(WaypostError):
    """A model of the config that this server cannot call, as where its key is not set; why is not for a client."""

    status = 503
    code = "model_unavailable"
    in_vain = True

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the model '{shown(name)}' is in this server's config and cannot be called there; who runs it finds the "
            "reason at /health/ready"
        )


class NoModelLeft(WaypostError):
    """The constraints of a request removed every model of the pool."""

    status = 422
    code = "no_model_left"


class NotInstalled(WaypostError):
    """A file or an optional package is missing; the sentence says which command brings it."""

    status = 503
    code = "not_installed"


class RankMissing(WaypostError):
    """A process that holds some of a layer's experts does not answer: it died, is slow, or has stopped."""


class ModelFailed(WaypostError):
    """A call to a model failed; ``upstream`` is the provider's HTTP status, ``retry_after`` is in seconds.

    ``kind`` says at what point: "connect" (there was no connection), "status" (the answer was a refusal), "lost" (the
    connection broke), "garbage" (the answer was none), "late" (nothing came in time), "rest" (it was not called, since
    it had failed too often), "unsent" (the request cannot be told to the model at all, so that nothing was sent and
    nothing is to be paid), or "" (anything else).  ``told`` are the provider's own ``code`` and ``param``.
    """

    status = 502
    code = "upstream_error"

    def __init__(
        self,
        problem: str,
        *,
        upstream: int | None = None,
        retry_after: float | None = None,
        kind: str = "",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.told = (code, param)
        self.upstream = upstream
        self.retry_after = retry_after
        self.kind = kind


class ProviderRefused(ModelFailed):
    """A provider refuses the key that the gateway has for it, which no client can do anything about."""

    code = "provider_auth"
    in_vain = True


class ModelTimeout(ModelFailed):
    """A model did not answer in time."""

    status = 504
    code = "upstream_timeout"


class Declined(ModelFailed):
    """A model says that this is not for it; the next best is asked."""

    code = "declined"


_LONGEST = 100  # characters of a client's own words in a sentence that is told to it


def shown(text: str) -> str:
    """A user's words as a sentence can hold them: no more than the first hundred characters.

    >>> len(shown("a" * 1000)), shown("short")
    (101, 'short')
    """
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """A " Did you mean …?" for a mistyped name, or nothing.

    >>> nearest("ridgee", ["ridge", "knn"])
    " Did you mean 'ridge'?"
    """
    if len(word) > _LONGEST:  # no mistyped name, and long to compare
        return ""
    close = get_close_matches(word, list(known), n=2, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
