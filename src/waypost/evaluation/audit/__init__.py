"""The audit of a router: what it does with kinds of prompts, attacks and accidents that no benchmark shows."""

from waypost.evaluation.audit.findings import SEVERITIES, Finding, findings
from waypost.evaluation.audit.run import Audit, Planted, Settings, audit, plant
from waypost.evaluation.audit.subject import Subject

__all__ = ["SEVERITIES", "Audit", "Finding", "Planted", "Settings", "Subject", "audit", "findings", "plant"]
