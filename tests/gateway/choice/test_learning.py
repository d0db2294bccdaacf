"""A gateway whose router learns: it explores and says so, feedback teaches it, no restart or crash loses any."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from types import SimpleNamespace

import numpy as np
import pytest

from waypost import routers
from waypost.encoders.static import StaticEncoder
from waypost.errors import BadConfig
from waypost.evaluation.logged import Logged
from waypost.gateway import plan
from waypost.gateway.choice import learning
from waypost.gateway.choice.learning import Learning
from waypost.routers import LinUCB, Thompson
from waypost.store import Attempt, Feedback
from waypost.strategies import Exploring
from waypost.types import ModelCard, Query

MODELS = ("small", "large")
CARDS = {name: ModelCard(name) for name in MODELS}
TOP = "router: router"


class Client:
    """Asks a gateway and tells it what the answers were worth."""

    def __init__(self, connection: HTTPConnection) -> None:
        self.connection = connection

    def send(self, method: str, path: str, body: dict | None = None) -> tuple[dict[str, str], str]:
        self.connection.request(method, path, None if body is None else json.dumps(body))
        reply = self.connection.getresponse()
        text = reply.read().decode()
        assert reply.status == 200, text
        return dict(reply.getheaders()), text

    def ask(self, prompt: str, model: str = "auto") -> tuple[str, str]:
        body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
        headers, _ = self.send("POST", "/v1/chat/completions", body)
        return headers["x-waypost-decision"], headers["x-waypost-model"]

    def tell(self, decision: str, quality: float) -> dict:
        return json.loads(self.send("POST", "/v1/feedback", {"decision": decision, "quality": quality})[1])

    def explained(self, decision: str) -> dict:
        return json.loads(self.send("GET", f"/v1/decisions/{decision}")[1])


@contextmanager
def client_of(served):
    with closing(HTTPConnection(served.host, served.port, timeout=30)) as connection:
        yield Client(connection)


@pytest.fixture
def cold(tmp_path):
    routers.save(LinUCB.from_cards(CARDS, epsilon=0.2), tmp_path / "router")
    return tmp_path / "router"


def test_a_decision_is_drawn_and_its_probabilities_are_logged(cold, serve, pool):
    served = serve(pool(*MODELS, top=TOP))
    assert served.about.strategy == "exploring"
    with client_of(served) as client:
        asked = [client.ask(f"Say hello to number {n}.") for n in range(200)]
        assert {model for _, model in asked} == set(MODELS)  # one in ten goes to the other: 0.9^200 is nothing
        asked = asked[:30]
        rows = [client.explained(decision) for decision, _ in asked]
    for row, (_, model) in zip(rows, asked, strict=True):
        assert row["chosen"] == model and row["propensities"][model] in (pytest.approx(0.9), pytest.approx(0.1))
        assert sum(row["propensities"].values()) == pytest.approx(1)
    # What the store has is what the evaluation of other policies asks of a log.
    log = Logged.from_rows(
        {"prompt": "hello", "model": row["chosen"], "propensities": row["propensities"], "quality": 1.0} for row in rows
    )
    assert len(log) == 30


def test_the_store_of_a_gateway_that_explores_is_a_log(cold, serve, pool, tmp_path):
    """`waypost estimate` reads it as it is: what was drawn, with the first feedback; what was not rated is counted."""
    served = serve(pool(*MODELS, top=f"{TOP}\nlog_prompts: true"))
    with client_of(served) as client:
        asked = [client.ask(f"Say hello to number {n}.") for n in range(20)]
        for decision, model in asked[:15]:
            client.tell(decision, float(model == "small"))
            client.tell(decision, 0.5)
        client.ask("Named, not drawn", model="small")
        client.explained(asked[-1][0])  # waits until all before it is on disk
        log = Logged.read(tmp_path / "waypost.sqlite")
    assert (len(log), log.unscored) == (15, 5)
    assert log.prompts == tuple(f"Say hello to number {n}." for n in range(15))
    assert [log.models[m] for m in log.chosen_N] == [model for _, model in asked[:15]]
    assert np.allclose(log.propensity_NM.sum(axis=1), 1) and set(log.quality_N) <= {0.0, 1.0}


def test_feedback_teaches_and_each_decision_counts_once(cold, serve, pool):
    with client_of(serve(pool(*MODELS, top=TOP))) as client:
        for n in range(60):
            decision, model = client.ask(f"Say hello to number {n}.")
            told = client.tell(decision, 1.0 if model == "small" else 0.0)
            assert told == {"decision": decision, "stored": True, "learned": "taken"}
            assert client.tell(decision, 0.5)["learned"] == "twice"
        row = client.explained(client.ask("Say hello to number 99.")[0])
        assert row["predictions"]["small"]["quality"] > 0.7 > 0.5 > row["predictions"]["large"]["quality"]
        assert row["propensities"]["small"] > row["propensities"]["large"]
        assert row["predictions"]["small"]["usd"] == pytest.approx(0.003, rel=0.1)
        page = client.send("GET", "/metrics")[1]
    assert "waypost_outcomes_learned_total 60\n" in page and "waypost_decisions_pending 1\n" in page


def test_a_request_that_names_its_model_is_not_learnt_from(cold, serve, pool):
    with client_of(serve(pool(*MODELS, top=TOP))) as client:
        decision, _ = client.ask("Hello", model="small")
        assert client.explained(decision)["propensities"] == {}
        assert client.tell(decision, 1.0)["learned"] == "unknown"


def test_after_a_restart_what_was_learnt_and_what_waits_is_there(cold, serve, pool):
    served = serve(pool(*MODELS, top=TOP))
    with client_of(served) as client:
        for n in range(20):
            decision, model = client.ask(f"Say hello to number {n}.")
            client.tell(decision, float(model == "small"))
        waiting, _ = client.ask("Say hello to number 50.")
        before = served.gateway.config.app.built.app.serving.learning.router.predict(["Say hello."])
    served.gateway.stop()
    assert_stopped(served)
    again = serve(pool(*MODELS, top=TOP))
    after = again.gateway.config.app.built.app.serving.learning.router.predict(["Say hello."])
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before[1:], after[1:], strict=True))
    with client_of(again) as client:
        assert client.tell(waiting, 1.0)["learned"] == "taken"
        assert client.tell(decision, 1.0)["learned"] == "twice"


def test_a_router_that_takes_long_reads_no_prompt_while_others_wait(cold, serve, pool, monkeypatch):
    """Neither to decide nor for what it keeps of the prompt: the loop's thread never encodes."""
    monkeypatch.setattr(plan, "_long", lambda router: True)
    served = serve(pool(*MODELS, top=TOP))
    read_in, encode = set(), StaticEncoder.encode

    def encoded(self, texts):
        read_in.add(threading.current_thread())
        return encode(self, texts)

    monkeypatch.setattr(StaticEncoder, "encode", encoded)
    with client_of(served) as client:
        decision, _ = client.ask("Say hello to my friend.")
        assert client.tell(decision, 1.0)["learned"] == "taken"
    loops = {thread for thread in threading.enumerate() if getattr(thread, "_target", None) == served.gateway.run}
    assert loops and read_in and not read_in & loops


def assert_stopped(served):
    """Wait for the end of the server, which writes the last state before it closes its door."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and getattr(thread, "_target", None) == served.gateway.run:
            thread.join(30)
            assert not thread.is_alive()


def test_without_a_store_or_from_a_table_of_its_own_nothing_is_drawn(cold, serve, pool):
    served = serve(pool(*MODELS, top=f"{TOP}\nstore: null"))
    assert served.about.strategy == "single"
    with client_of(served) as client:
        assert client.explained(client.ask("Hello")[0])["propensities"] == {}


# Below, the keeper by itself.


def exchange(n: int, model: str = "small", status: int = 200, propensities=None):
    """What the keeper looks at of a served request."""
    query = Query.of(f"Say hello to number {n}.")
    return SimpleNamespace(
        id=f"d{n}",
        began=float(n),
        status=status,
        served=model,
        decision=SimpleNamespace(propensities={"small": 0.5, "large": 0.5} if propensities is None else propensities),
        choice=SimpleNamespace(context=Exploring(LinUCB.from_cards(CARDS), CARDS).context(query)),
        drive=SimpleNamespace(attempts=[Attempt(model, "ok", 0.5, 0.01)]),
    )


def told(keeper, n, quality=1.0):
    return asyncio.run(keeper.told(Feedback(f"d{n}", float(n) + 1, quality)))


def crash(keeper):
    """The process is killed, and the system closes what it held."""
    for journal in keeper._journals:
        journal.close()
    os.close(keeper._guard)


def same(one, other):
    pairs = zip(one.predict(["Hello"])[1:], other.predict(["Hello"])[1:], strict=True)
    return one.arms.seen == other.arms.seen and all(np.allclose(a, b, atol=1e-12, equal_nan=True) for a, b in pairs)


@pytest.mark.parametrize("kind", [LinUCB, Thompson])
def test_a_crash_loses_no_acknowledged_outcome(kind, tmp_path):
    """The process ends without closing; a line was torn by it."""
    keeper = Learning.open(kind.from_cards(CARDS), tmp_path)
    for n in range(12):
        keeper.wait(exchange(n, MODELS[n % 2]))
    assert [told(keeper, n, n / 12) for n in range(9)] == ["taken"] * 9
    (state,) = (tmp_path / "online").iterdir()
    with (state / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"outcome": 1.0, "id": "d9')
    crash(keeper)
    again = Learning.open(kind.from_cards(CARDS), tmp_path)
    assert same(keeper.router, again.router) and again.router.arms.seen == 9
    assert [told(again, n) for n in (0, 9, 11, 99)] == ["twice", "taken", "taken", "unknown"]
    again.close()


def test_a_crash_while_a_state_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    keeper.wait(exchange(0))
    keeper.wait(exchange(1))
    told(keeper, 0)

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(learning.routers, "save", dies)
        with pytest.raises(KeyboardInterrupt):
            keeper.save()
    told(keeper, 1)
    crash(keeper)
    again = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    assert same(keeper.router, again.router) and again.router.arms.seen == 2
    again.close()


def test_what_comes_while_a_state_is_written_is_in_it(tmp_path, monkeypatch):
    """Feedback that is acknowledged between the moment of a state and its being in place is not lost with it."""
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    for n in range(3):
        keeper.wait(exchange(n))
    plain = routers.save

    def slow(router, folder):
        plain(router, folder)
        told(keeper, 0)
        keeper.wait(exchange(7))

    with monkeypatch.context() as patched:
        patched.setattr(learning.routers, "save", slow)
        keeper.save()
    crash(keeper)
    again = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    assert same(keeper.router, again.router) and again.router.arms.seen == 1
    assert [told(again, n) for n in (0, 1, 7)] == ["twice", "taken", "taken"]
    again.close()


def test_states_are_written_now_and_then_and_the_old_ones_go(tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "_EVERY", 5)
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    for n in range(12):
        keeper.wait(exchange(n))
        told(keeper, n)
    (state,) = (tmp_path / "online").iterdir()
    assert routers.load(state).arms.seen == 10
    keeper.close()
    (state,) = (tmp_path / "online").iterdir()
    assert routers.load(state).arms.seen == 12 and (state / "journal.jsonl").read_bytes() == b""


def test_many_at_once_lose_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "_EVERY", 10)
    keeper = Learning.open(LinUCB.from_cards(CARDS, alarm=None), tmp_path)
    for n in range(120):
        keeper.wait(exchange(n, MODELS[n % 2]))
    with ThreadPoolExecutor(8) as threads:
        verdicts = list(threads.map(lambda n: told(keeper, n), [*range(120), *range(120)]))
    assert verdicts.count("taken") == 120 and verdicts.count("twice") == 120
    crash(keeper)
    again = Learning.open(LinUCB.from_cards(CARDS, alarm=None), tmp_path)
    assert again.router.arms.seen == 120 and len(again.pending) == 0
    again.close()


def test_two_gateways_do_not_learn_in_one_folder(tmp_path):
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    with pytest.raises(BadConfig, match="another gateway learns in"):
        Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    keeper.close()
    Learning.open(LinUCB.from_cards(CARDS), tmp_path).close()


def test_a_router_that_was_trained_again_starts_from_its_training_and_the_other_state_is_kept(tmp_path, caplog):
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    keeper.wait(exchange(0))
    keeper.wait(exchange(1))
    told(keeper, 0)
    keeper.close()
    (state,) = (tmp_path / "online").iterdir()
    caplog.set_level(logging.WARNING)
    again = Learning.open(LinUCB.from_cards(CARDS, seed=1), tmp_path)
    again.close()
    assert again.router.arms.seen == 0 and "another router" in caplog.text
    # Put back, it is taken up as it was: with what was learnt, and with what waits.
    state.with_name(f"{state.name}.other").rename(state)
    back = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    assert same(back.router, keeper.router) and told(back, 1) == "taken"
    back.close()


def test_a_state_that_cannot_be_read_is_said_passed_over_and_kept(tmp_path, caplog):
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    keeper.wait(exchange(0))
    crash(keeper)
    (state,) = (tmp_path / "online").iterdir()
    (state / "router.json").write_text("{")
    files = {path.name: path.read_bytes() for path in state.iterdir()}
    again = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    assert "cannot be read" in caplog.text and again.router.arms.seen == 0
    again.close()
    kept = state.with_name(f"{state.name}.unreadable")
    assert files == {path.name: path.read_bytes() for path in kept.iterdir()}


def test_only_states_of_ones_own_are_removed(tmp_path):
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    (tmp_path / "online" / "7").mkdir()
    keeper.close()
    assert sorted(path.name for path in (tmp_path / "online").iterdir()) == ["7", "8"]


@contextmanager
def a_full_disk(file, room):
    """No file grows further than this one and ``room`` bytes: a write that begins inside ends at the border."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_feedback_that_could_not_be_written_can_be_given_again(tmp_path):
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    for n in range(2):
        keeper.wait(exchange(n))
    (journal,) = (tmp_path / "online").glob("*/journal.jsonl")
    with a_full_disk(journal, room=10), pytest.raises(OSError, match="File too large"):
        told(keeper, 0, 0.25)
    assert keeper.router.arms.seen == 0
    assert [told(keeper, n) for n in (0, 0, 1)] == ["taken", "twice", "taken"]
    # Nor has the line that was torn spoilt those after it.
    crash(keeper)
    again = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    assert same(keeper.router, again.router) and again.router.arms.seen == 2
    again.close()


def test_a_decision_that_could_not_be_written_does_not_wait_and_the_answer_is_served(tmp_path, caplog):
    """Its outcome would be acknowledged, and lost in a crash."""
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    (journal,) = (tmp_path / "online").glob("*/journal.jsonl")
    with a_full_disk(journal, room=10):
        keeper.wait(exchange(0))
    assert "d0 will not be learnt from" in caplog.text and told(keeper, 0) == "unknown"
    keeper.wait(exchange(1))
    assert told(keeper, 1) == "taken"
    keeper.close()


def test_a_journal_that_is_replaced_while_it_is_synced_is_synced_all_the_same(tmp_path, monkeypatch):
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    keeper.wait(exchange(0))
    (journal,) = (tmp_path / "online").glob("*/journal.jsonl")
    asked_for, synced, plain = journal.stat().st_ino, [], os.fsync

    def replaced_meanwhile(number):
        monkeypatch.setattr(learning.os, "fsync", plain)
        keeper.save()
        synced.append(os.fstat(number).st_ino)
        plain(number)

    monkeypatch.setattr(learning.os, "fsync", replaced_meanwhile)
    assert told(keeper, 0) == "taken" and synced == [asked_for]
    keeper.close()


def test_no_request_waits_for_a_disk(tmp_path, monkeypatch):
    """While anything is synced, and while a state takes its name, an exchange comes to its end."""
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    keeper.wait(exchange(0))
    went_on = []

    def watched(plain):
        def slow(*arguments):
            thread = threading.Thread(target=keeper.wait, args=(exchange(len(went_on) + 1),))
            thread.start()
            thread.join(5)
            went_on.append(not thread.is_alive())
            return plain(*arguments)

        return slow

    with monkeypatch.context() as patched:
        patched.setattr(learning.os, "fsync", watched(os.fsync))
        patched.setattr(learning.Path, "rename", watched(learning.Path.rename))
        told(keeper, 0)
        keeper.save()
    assert len(went_on) > 5 and all(went_on)
    # And what came in these moments is in the new state or its journal.
    crash(keeper)
    again = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    assert [told(again, n + 1) for n in range(len(went_on))] == ["taken"] * len(went_on)
    again.close()


def test_a_state_whose_name_may_not_be_on_disk_does_not_stop_the_one_before(tmp_path, monkeypatch):
    """After a power cut either may be found, so what is acknowledged is in both."""
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    for n in range(2):
        keeper.wait(exchange(n))
    plain = learning._sync

    def refuses(path):
        if path == keeper.folder:
            raise OSError("the disk is gone")
        plain(path)

    with monkeypatch.context() as patched:
        patched.setattr(learning, "_sync", refuses)
        with pytest.raises(OSError, match="gone"):
            keeper.save()
    assert told(keeper, 0) == "taken"
    before, after = sorted((tmp_path / "online").iterdir())
    crash(keeper)
    for state in (after, before):
        again = Learning(LinUCB.from_cards(CARDS), tmp_path / "online")
        assert again._take_up(state) is None and again.router.arms.seen == 1


@pytest.mark.parametrize(
    "changes", [{"status": 502}, {"model": None}, {"propensities": {}}, {"propensities": {"large": 1.0}}]
)
def test_what_says_nothing_of_a_drawn_model_does_not_wait(changes, tmp_path):
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    keeper.wait(exchange(0, **{"model": "small", **changes}))
    assert len(keeper.pending) == 0
    keeper.close()


def test_prompts_are_not_written_down(tmp_path):
    keeper = Learning.open(LinUCB.from_cards(CARDS), tmp_path)
    keeper.wait(exchange(0))
    keeper.close()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"hello" not in written and json.loads(next((tmp_path / "online").rglob("pending.jsonl")).read_text())
