"""What is told of sections that lead traffic, with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from waypost.errors import BadConfig
from waypost.gateway.sections.traffic import CanarySettings, SessionSettings, ShadowSettings
from waypost.gateway.settings import Settings, load

POOL = """models:
  - {name: small, kind: arithmetic}
  - {name: large, kind: arithmetic}
profiles: {cheap: {usd: 1000}}
"""


def read(folder: Path, text: str) -> Settings:
    file = folder / "waypost.yaml"
    file.write_text(POOL + text)
    return load(file, {})


def test_without_them_a_conversation_is_remembered_for_five_minutes_and_nothing_else_is_done(tmp_path: Path) -> None:
    settings = read(tmp_path, "router: cheapest")
    assert settings.sessions == SessionSettings(300.0, 10_000)
    assert (settings.fallback, settings.shadow, settings.canary) == ({}, None, None)


def test_each_section_is_read(tmp_path: Path) -> None:
    text = "fallback: {auto: [large], 'auto:cheap': [small], small: [large]}\nsessions: {seconds: 60, most: 5}\n"
    settings = read(tmp_path, f"{text}shadow: {{incumbent: large, profile: cheap}}")
    assert settings.fallback == {"auto": ("large",), "auto:cheap": ("small",), "small": ("large",)}
    assert (settings.sessions, settings.shadow) == (SessionSettings(60.0, 5), ShadowSettings("large", "cheap"))
    assert read(tmp_path, "canary: {router: new, share: 0.1}").canary == CanarySettings(tmp_path / "new", 0.1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("fallback: {auto: [larg]}", ":5: 'fallback.auto' names no model 'larg' in the pool"),
        (
            "fallback: {'auto:dear': [large]}",
            "is nothing that a client can ask for; that is small, large, auto, auto:cheap",
        ),
        ("fallback: {'auto:default': [large]}", "is nothing that a client can ask for"),
        ("fallback: {small: [large, large]}", "names a model twice, or as its own fallback"),
        ("fallback: {small: [small]}", "names a model twice, or as its own fallback"),
        ("sessions: {seconds: -1}", "'sessions.seconds' must be 0 to 604800, got -1"),
        ("shadow: {incumbent: larg}", "'shadow.incumbent' names no model 'larg'"),
        ("shadow: {incumbent: large, profile: dear}", "is no profile; there is cheap, default"),
        ("shadow: {profile: cheap}", "needs `incumbent`"),
        ("strategy: cascade\nhead: h\nshadow: {incumbent: large}", "is for `strategy: single`; what a cascade"),
        ("strategy: cascade\nhead: h\nfallback: {auto: [large]}", "is for `strategy: single`; a cascade goes on"),
        ("canary: {router: new, share: 2}", "'canary.share' must be 0 to 1"),
        ("canary: {router: new, share: 0.1}\nshadow: {incumbent: large}", "has no traffic where `shadow` keeps it"),
    ],
)
def test_a_mistake_is_told_with_its_field(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadConfig) as raised:
        read(tmp_path, text)
    assert sentence in str(raised.value)
