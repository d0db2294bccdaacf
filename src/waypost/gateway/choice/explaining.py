"""What would become of a request, without a call: the answer of ``POST /v1/explain``."""

from __future__ import annotations

from typing import Any

from waypost.gateway.ask import Ask
from waypost.gateway.choice.choosing import Choice
from waypost.store.decisions import by_model
from waypost.types import Decision


def explained(asked: Ask, choice: Choice) -> dict[str, Any]:
    """A decision in full: who would be asked in which order, what is expected of each, and what removed the others."""
    decision = choice.decision
    return {
        "requested": asked.model,
        **_told(decision),
        "context_tokens": asked.query.size,
        "needs": sorted(asked.query.needs),
        "session": choice.session,
        "cached_tokens": dict(choice.cached),
        "canary": choice.arm,
        "shadow": None if choice.watched is None else _told(choice.watched),
    }


def _told(decision: Decision) -> dict[str, Any]:
    return {
        "model": decision.model,
        "router": decision.router,
        "why": decision.why,
        "ranking": list(decision.ranking),
        "predictions": by_model(decision),
        "removed": dict(decision.removed),
        "weights": dict(decision.weights),
        "bonus": dict(decision.bonus),
    }
