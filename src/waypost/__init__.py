"""Waypost decides where work should go, learns from what happened, and proves that it was worth it."""

from waypost.types import Answer, Call, Decision, ModelCard, Outcome, Prediction, Query, Sample

__version__ = "0.1.0"
__all__ = ["Answer", "Call", "Decision", "ModelCard", "Outcome", "Prediction", "Query", "Sample"]
