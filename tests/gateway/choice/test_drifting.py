"""A served gateway uses its calibration and says once, in the log and in its numbers, that traffic has drifted."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from waypost import routers
from waypost.errors import BadConfig
from waypost.evaluation.calibrate import Keep, calibrate, words
from waypost.gateway.choice import drifting
from waypost.gateway.choice.drifting import Drifting
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.outcomes.calibration import Calibration
from waypost.outcomes.drift import Reference, Traffic
from waypost.routers.fingerprint import fingerprint
from waypost.types import Decision

MODELS = ("small", "large")
EASY, HARD = ("say hello to my friend", "name a kind of bird"), ("prove that this theorem holds for all rings",)


def prompts(kinds, n):
    return [f"{kinds[i % len(kinds)]} {1000 + 7919 * i % 9000}" for i in range(n)]


@pytest.fixture
def calibrated(tmp_path: Path) -> Path:
    """A router for whom easy prompts are for the small model, calibrated on two easy ones for each hard one."""
    asked = prompts((*EASY, *HARD), 900)
    hard_N = np.array([prompt.startswith(HARD) for prompt in asked])
    quality_NM = np.column_stack([~hard_N, np.ones(900)]).astype(float)
    usd_NM = np.tile([0.001, 0.01], (900, 1))
    table = Outcomes(tuple(map(str, range(900))), tuple(asked), ("",) * 900, MODELS, quality_NM, usd_NM)
    router = routers.make("ridge").fit(table.select(range(450)))
    routers.save(router, tmp_path / "router")
    found = calibrate(router, table.select(range(450, 900)), Keep(0.9), resamples=50)
    Calibration(words(found.objective), {"keep": 0.9}, {}, "router", fingerprint(router), found.reference).write(
        tmp_path / "calibration.json"
    )
    return tmp_path / "calibration.json"


@pytest.fixture
def gateway(calibrated, serve, pool, caplog):
    caplog.set_level(logging.INFO, "waypost.gateway.choice.drifting")
    return serve(pool(*MODELS, top="router: router\ncalibration: calibration.json"))


class Client:
    """Asks one thing after the other over one connection."""

    def __init__(self, connection: HTTPConnection) -> None:
        self.connection = connection

    def get(self, path: str) -> str:
        self.connection.request("GET", path)
        return self.connection.getresponse().read().decode()

    def ask(self, *asked: str, **more: Any) -> None:
        for prompt in asked:
            body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], **more}
            self.connection.request("POST", "/v1/chat/completions", json.dumps(body))
            response = self.connection.getresponse()
            assert response.status == 200, response.read()
            response.read()

    def traffic(self) -> str:
        return json.loads(self.get("/health/ready"))["traffic"]

    def looked(self) -> tuple[bool, dict[str, str]]:
        """Whether the numbers say that traffic has drifted, and by how much each feature; waits for the look."""
        for _ in range(3000):
            page = self.get("/metrics")
            if found := re.search(r"^waypost_drifted (\d)", page, re.M):
                return found[1] == "1", dict(re.findall(r'waypost_drift_psi\{feature="(\w+)"\} ([\d.]+)', page))
        raise AssertionError("nobody looked")


@contextmanager
def client_of(gateway) -> Iterator[Client]:
    with closing(HTTPConnection(gateway.host, gateway.port, timeout=30)) as connection:
        yield Client(connection)


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_what_was_seen_of_the_traffic_goes_on_when_the_config_is_read_again(gateway, calibrated):
    config = calibrated.with_name("waypost.yaml")
    with client_of(gateway) as client:
        client.ask(*prompts((*EASY, *HARD), 200))
        client.looked()
        config.write_text(config.read_text() + "\nlog_prompts: true\n")
        assert gateway.gateway.reload().result(30)
        assert client.traffic() == "has not drifted: 200 prompts"
        client.ask(*prompts((*EASY, *HARD), 100))
        assert gateway.gateway._reloading.built.app.serving.drifting.seen == 300


def test_traffic_like_that_of_the_calibration_is_not_called_drifted(gateway, caplog):
    with client_of(gateway) as client:
        assert "waypost_drifted" not in client.get("/metrics")
        client.ask(*prompts((*EASY, *HARD), 200))
        was, psi = client.looked()
        assert not was and set(psi) == {"choice", "quality", "lead", "length"}
        assert client.traffic() == "has not drifted: 200 prompts"
    assert not warnings(caplog)


def test_other_traffic_is_called_drifted_and_said_once(gateway, caplog):
    with client_of(gateway) as client:
        client.ask(*prompts(HARD, 200))
        was, psi = client.looked()
        assert was and float(psi["choice"]) > 0.1
        client.ask(*prompts(HARD, 200))
        assert client.traffic().startswith("drifted: ")
    (said,) = warnings(caplog)
    assert re.match(r"traffic has drifted: \d00 prompts, by .*choice \(PSI .* and calibrate again", said)


def test_the_calibrated_trade_off_is_the_default_and_only_its_traffic_is_watched(gateway, calibrated):
    known = Calibration.read(calibrated)
    app = gateway.gateway.config.app.built.app
    assert app.serving.profiles["default"] == Objective.from_mapping(known.objective) and known.objective["usd"] > 0
    with client_of(gateway) as client:
        client.ask(*prompts(HARD, 3), waypost={"usd": 1.0})
        client.ask("Hi", model="small")
        assert app.serving.drifting.seen == 0
        client.ask(*prompts(HARD, 3))
        assert app.serving.drifting.seen == 3


def test_a_calibration_of_another_router_is_refused(calibrated, serve, pool):
    table = Outcomes(("1", "2"), ("a", "b"), ("", ""), MODELS, np.eye(2), np.ones((2, 2)))
    routers.save(routers.make("ridge").fit(table), calibrated.parent / "router")
    with pytest.raises(BadConfig, match=r"waypost.yaml:\d+: 'calibration' is of another router .* calibrate this one"):
        serve(pool(*MODELS, top="router: router\ncalibration: calibration.json"))


@pytest.mark.parametrize(
    ("top", "problem"),
    [
        ("calibration: none.json", r"'calibration' cannot be used: cannot read the calibration .*none.json: No such"),
        ("calibration: calibration.json\nprofiles: {default: {usd: 3}}", "`profiles` has a `default` too; remove one"),
        ("strategy: cascade\nhead: router\ncalibration: calibration.json", "a cascade chooses by its `head`"),
    ],
)
def test_a_config_that_cannot_have_a_calibration_says_why(calibrated, serve, pool, top, problem):
    with pytest.raises(BadConfig, match=problem):
        serve(pool(*MODELS, top=top))


def test_a_calibration_that_names_a_model_which_is_not_here_is_refused(calibrated, serve, pool):
    known = Calibration.read(calibrated)
    Calibration({"bias": {"larg": 0.1}}, {}, {}, "router", known.fingerprint, known.reference).write(calibrated)
    with pytest.raises(BadConfig, match=r"speaks of a model that is not here: no model 'larg'.*Did you mean 'large'"):
        serve(pool(*MODELS, top="router: router\ncalibration: calibration.json"))


def decision(rng, shift=0.0):
    quality = {name: float(q) for name, q in zip(MODELS, rng.beta(5, 2, 2) - shift, strict=True)}
    return Decision("router", (max(quality, key=quality.get),), {}, quality, {}, {}, {}, {}, "")


def prompt(rng):
    """A text of 20 to 59 letters that is no other's."""
    return "".join(rng.choice(list("abcdefgh"), int(rng.integers(20, 60))))


async def look_all(drifting):
    if drifting._watch.look is not None:
        await asyncio.wait([drifting._watch.look])


async def test_it_is_quiet_as_long_as_nothing_drifts_and_speaks_of_each_change_once(caplog):
    caplog.set_level(logging.INFO, "waypost.gateway.choice.drifting")
    rng, objective = np.random.default_rng(0), Objective()
    before = [decision(rng) for _ in range(500)]
    quality_NM = np.array([[d.quality[name] for name in MODELS] for d in before])
    reference = Reference.of(Traffic.of([d.model for d in before], quality_NM, rng.integers(20, 60, 500)))
    watch = Drifting(reference, objective)
    for shift, n in ((0.0, 3000), (0.3, 1500), (0.0, 1500)):
        for _ in range(n):
            watch.put(decision(rng, shift), objective, prompt(rng))
            await look_all(watch)
    told = [(record.levelname, record.getMessage().split(":")[0]) for record in caplog.records]
    assert told == [
        ("WARNING", "traffic has drifted"),
        ("INFO", "traffic looks again like what was calibrated on"),
    ]
    assert watch.seen == drifting._WINDOW


async def test_a_look_that_is_under_way_when_the_config_is_read_again_is_told_after_it():
    rng, objective, equal = np.random.default_rng(0), Objective(), Objective()
    asked = [decision(rng) for _ in range(500)]
    quality_NM = np.array([[d.quality[name] for name in MODELS] for d in asked])
    before = Drifting(Reference.of(Traffic.of([d.model for d in asked], quality_NM, [30] * 500)), objective)
    while before._watch.look is None:
        before.put(decision(rng), objective, prompt(rng))
    after = before.of(equal)
    assert after.latest is None
    await look_all(before)
    assert after.latest is not None and after.latest is before.latest
    # Requests that are still on the old parts count too.
    before.put(decision(rng), objective, prompt(rng))
    after.put(decision(rng), equal, prompt(rng))
    assert after.seen == before.seen > drifting.LEAST


def test_a_thousand_looks_at_the_same_traffic_raise_about_one_false_alarm():
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(20):
        sample = [decision(rng) for _ in range(6000)]
        lengths = rng.integers(20, 60, 6000).tolist()
        rows = [(d.model, d.quality, length, n) for n, (d, length) in enumerate(zip(sample, lengths, strict=True))]
        before = rows[:1000]
        quality_NM = np.array([[quality[name] for name in MODELS] for _, quality, *_ in before])
        reference = Reference.of(Traffic.of([row[0] for row in before], quality_NM, [row[2] for row in before]))
        looks = [drifting._looked(reference, rows[end - 1000 : end]) for end in range(2000, 6001, 100)]
        alarms += sum(look.verdict == "drifted" for look in looks)
    assert alarms <= 5  # of 820


async def test_prompts_that_are_asked_again_and_again_raise_no_alarm(caplog):
    """Each of the 1,000 latest stands there ten times: what 100 prompts happen to be is no drift."""
    rng, objective = np.random.default_rng(2), Objective()
    before = [decision(rng) for _ in range(2000)]
    quality_NM = np.array([[d.quality[name] for name in MODELS] for d in before])
    reference = Reference.of(Traffic.of([d.model for d in before], quality_NM, rng.integers(20, 60, 2000)))
    for _ in range(20):
        watch = Drifting(reference, objective)
        for asked in [(decision(rng), prompt(rng)) for _ in range(100)] * 10:
            watch.put(asked[0], objective, asked[1])
            await look_all(watch)
        assert watch.latest.verdict == "has not drifted" and watch.latest.effective == pytest.approx(100)
    assert not warnings(caplog)
