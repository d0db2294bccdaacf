"""Routers of known behaviour: they send a prompt where a rule says."""

from __future__ import annotations

import numpy as np
import pytest

from waypost.evaluation.audit import Subject
from waypost.outcomes import Outcomes
from waypost.types import ModelCard, Prediction

MODELS = ("small", "large")
QUALITY = {"small": 0.4, "large": 0.8}


class Rule:
    """Sends a prompt to ``large`` where the rule holds, else to ``small``."""

    def __init__(self, rule):
        self.rule = rule
        self.models = MODELS

    def fit(self, outcomes):
        return self

    def predict(self, prompts):
        large_N = np.array([bool(self.rule(prompt)) for prompt in prompts], dtype=float)
        nothing_NM = np.zeros((len(prompts), 2))
        return Prediction(MODELS, np.stack([0.5 * np.ones(len(prompts)), large_N], axis=1), *([nothing_NM] * 3))


@pytest.fixture
def ruled():
    """A subject whose router sends a prompt to ``large`` where the rule holds; ``local`` names the local models."""

    def make(rule, local=None, designated=None, **changes):
        cards = None if local is None else {name: ModelCard(name, local=name in local) for name in MODELS}
        router = Rule(rule)
        for name, value in changes.items():
            setattr(router, name, value)
        return Subject("ruled", router, QUALITY, cards, designated=designated)

    return make


@pytest.fixture
def table():
    """A table of some prompts, in groups, where each model is right half the time."""

    def make(prompts, groups=None):
        n = len(prompts)
        quality_NM = np.stack([np.arange(n) % 2, (np.arange(n) + 1) % 2], axis=1).astype(float)
        ids = tuple(f"row-{i}" for i in range(n))
        return Outcomes(ids, tuple(prompts), tuple(groups or ["any"] * n), MODELS, quality_NM, np.full((n, 2), np.nan))

    return make
