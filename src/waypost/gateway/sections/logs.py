"""``logs:`` what the process says about itself while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from waypost.gateway.sections.kinds import one_of, setting

FORMATS = ("text", "json")
REQUESTS = ("off", "errors", "all")
LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How lines look, of which requests there is one, and from which level on."""

    format: str = setting(one_of(FORMATS), "Lines for people, or one JSON object a line.", "text")
    requests: str = setting(one_of(REQUESTS), "A line for no request, for those that failed, or for each.", "off")
    level: str = setting(one_of(LEVELS), "The least important lines that are still said.", "info")
