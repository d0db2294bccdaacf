"""The field's measures, one file a source, each with one stated definition."""

from waypost.evaluation.measures.curves import Curve, aiq, at, common_range, hull, zero_router

__all__ = ["Curve", "aiq", "at", "common_range", "hull", "zero_router"]
