"""Do two replicas on one Postgres and one Redis hold what they promise while each of these is killed or frozen?

    python benchmarks/gateway/replicas.py                # some minutes; appends to results/gateway_replicas.jsonl
    python benchmarks/gateway/replicas.py --seconds 3    # a quick look, in less than a minute; only prints
    python benchmarks/gateway/replicas.py --page         # writes the table in docs/replicas.md from the last row

Clients ask both, streamed and not, with keys that have limits of every kind.  One replica is killed (SIGKILL), its
sibling takes over what it left, and it is started again; Redis is frozen (SIGSTOP) and goes on; Postgres is killed and
started again.  What was spent and what was under way is counted from the provider's own record, by model: each key has
models of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop

import pair
from pair import Client, Reply, Setting

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import rows

PAGE = rows.ROOT / "docs" / "replicas.md"
KEPT = rows.ROOT / "benchmarks" / "results" / "gateway_replicas.jsonl"

# Models of the gateway, each by what the provider does under that name.
MODELS = {
    name: f"{does}-{name}"
    for name, does in {
        "busy": "ok-5ms",
        "stream": "stream-10x5ms",
        "paid": "ok-200ms",
        "shared": "ok-200ms",
        "brief": "ok",
        "narrow": "ok-50ms",
        "held": "hang",
        "probe": "ok",
        "steady": "ok-5ms",
    }.items()
}
PER_TOKEN = 1e-3  # USD
CALL = 300 * PER_TOKEN  # 250 tokens of prompt and 50 of answer
MOST_OUT = 60
REQUESTS_PER_MINUTE = 40
PARALLEL = 3
HELD = 4
_AMPLE: dict[str, Any] = {"requests_per_minute": 10**7, "tokens_per_minute": 10**10, "parallel": 1000, "usd": 1e7}


def config(upstream: str, postgres: str, redis: str, team_usd: float, wait: float) -> str:
    """What both replicas read."""
    price = PER_TOKEN * 1e6
    models = "".join(
        f"  - {{name: {name}, kind: openai, upstream: {does}, base_url: '{upstream}', usd_per_mtok_in: {price:g}, "
        f"usd_per_mtok_out: {price:g}}}\n"
        for name, does in MODELS.items()
    )
    return (
        f"models:\n{models}router: cheapest\nstore: '{postgres}'\nkeys: required\n"
        f"limits: {{redis: '{redis}', answer_tokens: {MOST_OUT}, wait_seconds: {wait:g}}}\n"
        f"teams: {{crew: {{usd: {team_usd:g}, per: total}}}}\n"
    )


class Run:
    """One run; ``seconds`` is how long the load is on before the kill, and sets the budgets."""

    def __init__(self, setting: Setting, seconds: float, key_usd: float, team_usd: float) -> None:
        from waypost.store.database import Database
        from waypost.store.keystore import KeyStore

        self.setting, self.seconds, self.key_usd, self.team_usd = setting, seconds, key_usd, team_usd
        self.keys = KeyStore(Database(setting.postgres.url))
        self.found: dict[str, Any] = {"seconds_before_kill": seconds}
        self.replies: list[Reply] = []

    def key(self, name: str, team: str | None = None, **limits: Any) -> tuple[str, str]:
        """A new key: its scope and its secret."""
        from waypost.store.limits import Limits

        key, secret = self.keys.create(name, team=team, models=None, limits=Limits(per="total", **limits), expires=None)
        return f"key:{key.id}", secret

    def clients(self, key: str, model: str, each: int = 1, **how: Any) -> list[Client]:
        """So many clients at each replica."""
        ports = [replica.port for replica in self.setting.replicas]
        return [Client(ports, key, model, model == "stream", home, **how) for home in (0, 1) for _ in range(each)]

    async def all(self) -> dict[str, Any]:
        """Every part, one after the other."""
        a, b = self.setting.replicas
        self.secrets = {
            "busy": self.key("busy", **_AMPLE),
            "paid": self.key("paid", "crew", usd=self.key_usd),
            "shared": self.key("shared", "crew"),
            "brief": self.key("brief", requests_per_minute=REQUESTS_PER_MINUTE),
            "narrow": self.key("narrow", parallel=PARALLEL),
            "held": self.key("held", parallel=HELD, usd=1e6),
        }
        self.busy = self.secrets["busy"][1]
        a.start()
        b.start()
        await asyncio.gather(a.answers(), b.answers())
        for part in (self._kill, self._freeze, self._postgres, self._revoke, self._slots_free):
            began = time.monotonic()
            await part()
            print(f"{part.__name__.strip('_')}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
        said = "".join(replica.said.read_text(errors="replace") for replica in self.setting.replicas)
        self.found["tracebacks"] = said.count("Traceback")
        return self.found

    async def _kill(self) -> None:
        """Load on both, then one of them is killed; its sibling takes over, and it is started again."""
        setting, a = self.setting, self.setting.replicas[0]
        (paid_scope, paid), (held_scope, held) = self.secrets["paid"], self.secrets["held"]
        shared, brief, narrow = (self.secrets[name][1] for name in ("shared", "brief", "narrow"))
        holding = [Client([a.port, a.port], held, "held") for _ in range(HELD)]
        load = [*self.clients(self.busy, "busy", 2), *self.clients(self.busy, "stream", 2)]
        spending = [*self.clients(paid, "paid"), *self.clients(shared, "shared")]
        limited = [*self.clients(brief, "brief"), *self.clients(narrow, "narrow", 4)]
        with (
            pair.asking(holding) as released,
            pair.asking(load) as end,
            pair.asking(spending) as spent,
            pair.asking(limited) as over,
        ):
            began = time.monotonic()
            await pair.until(lambda: setting.stats()["by_model"].get(MODELS["held"]) == HELD)
            await asyncio.sleep(max(0.0, began + self.seconds - time.monotonic()))
            killed = time.monotonic()
            a.kill()
            left = setting.spooled(a.process.pid)
            await released()
            self.slots = asyncio.create_task(self._slots(held, killed))
            held_ids = {
                r.decision for client in (*load, *spending, *limited) for r in client.replies if r.whole and r.decision
            }
            taken = await pair.until(lambda: not setting.spooled(a.process.pid) and held_ids <= setting.rows().keys())
            a.start()
            await a.answers()
            again = time.monotonic()
            # The clients of a budget end when it does: a second of nothing but refusals.
            await pair.until(lambda: all(_refused(client) for client in spending))
            await _answered(load, 20)
            await end()
            await spent()
            await over()
        minute = time.monotonic() - began
        stats = setting.stats()
        served = stats["by_model"]
        usd = {name: served.get(MODELS[name], 0) * CALL for name in ("paid", "shared")}
        reserve = _reserve()
        everyone = [*load, *spending, *limited]
        self.found |= {
            "rows_left_by_killed": left,
            "seconds_until_taken_over": round(taken, 2),
            "usd_key_budget": round(self.key_usd, 3),
            "usd_key_spent": round(usd["paid"], 3),
            "usd_team_budget": round(self.team_usd, 3),
            "usd_team_spent": round(usd["paid"] + usd["shared"], 3),
            "usd_reserve": round(reserve, 4),
            "usd_key_counted": round(setting.redis.spent(paid_scope), 3),
            "usd_team_counted": round(setting.redis.spent("team:crew"), 3),
            "usd_held_by_killed": round(setting.redis.spent(held_scope), 3),
            "requests_per_minute": REQUESTS_PER_MINUTE,
            "requests_served": served[MODELS["brief"]],
            "requests_in_seconds": round(minute, 1),
            "requests_in_a_minute": _in_a_minute([client for client in limited if client.key == brief]),
            "parallel": PARALLEL,
            "parallel_at_most": stats["peak"][MODELS["narrow"]],
            # Of the replica that lives only: what broke with the other is its clients' to repeat.
            "survivor_failures": _failures(everyone, 1, 0, math.inf),
            "broken_by_kill": sum(_broken(client, killed) for client in everyone),
            "redis_fell_silent": sum("Redis fails" in line for line in _lines(setting)),
        }  # fmt: skip
        self._note(everyone)
        self.found["ms_before"] = _times(load, began, killed, None)
        self.found["ms_during"] = _times(load, killed, killed + 2.0, 1)
        self.found["ms_after"] = _times(load, again, math.inf, None)

    async def _slots_free(self) -> None:
        await self.slots

    async def _slots(self, held: str, killed: float) -> None:
        """Ask until the dead replica's parallel requests are given back; not while Redis is frozen."""
        self.calm = asyncio.Event()
        self.calm.set()
        probe = Client([self.setting.replicas[1].port] * 2, held, "probe")
        refused = 0
        while True:
            await self.calm.wait()
            with pair.asking([probe]) as once:
                probe.going = True
                probe.replies.clear()
                await asyncio.sleep(0)
                await once()
            if probe.replies[-1].status == 200:
                break
            refused += 1
            await asyncio.sleep(0.1)
        self.found["seconds_until_slots_free"] = round(time.monotonic() - killed, 1)
        self.found["refused_until_slots_free"] = refused

    async def _freeze(self) -> None:
        """Redis is frozen under load; afterwards its counter is what was served."""
        setting = self.setting
        # The key is made while both run.
        scope, secret = self.key("steady", **_AMPLE)
        known = [Client([replica.port] * 2, secret, "probe") for replica in setting.replicas]
        made = time.monotonic()
        await asyncio.gather(*(_first(client, 200) for client in known))
        self.found["seconds_until_key_known"] = round(time.monotonic() - made, 2)
        self.steady = secret
        probes = sum(reply.status == 200 for client in known for reply in client.replies)
        load = self.clients(secret, "steady", 4)
        self.calm.clear()
        before = setting.stats()["by_model"].get(MODELS["steady"], 0)
        with pair.asking(load) as end:
            await _answered(load, 20)
            frozen = time.monotonic()
            setting.redis.freeze()
            await asyncio.sleep(3.0)
            setting.redis.thaw()
            thawed = time.monotonic()
            told = await pair.until(lambda: all(_told(replica, self.busy) for replica in setting.replicas))
            await _answered(load, 20)
            await end()
        await pair.until(lambda: all(_told(replica, self.busy) for replica in setting.replicas))
        served = setting.stats()["by_model"][MODELS["steady"]] - before
        self.calm.set()
        self._note([*load, *known])
        self.found |= {
            "ms_frozen": _times(load, frozen, thawed, None),
            "frozen_failures": _failures(load, None, 0, thawed),
            "seconds_until_told": round(told, 2),
            "usd_served": round((served + probes) * CALL, 3),
            "usd_counted": round(setting.redis.spent(scope), 3),
        }

    async def _postgres(self) -> None:
        """Postgres is killed under load and started again."""
        setting = self.setting
        load = [*self.clients(self.busy, "busy", 2), *self.clients(self.busy, "stream", 2)]
        with pair.asking(load) as end:
            await _answered(load, 20)
            down = time.monotonic()
            await asyncio.to_thread(setting.postgres.kill)
            await _answered(load, 50)
            one = load[0].replies[-1]
            told = await asyncio.to_thread(
                setting.replicas[one.replica].get, f"/v1/decisions/{one.decision}", self.busy
            )
            self.found["decision_told_while_down"] = told["id"] == one.decision
            await asyncio.sleep(1.0)
            up = time.monotonic()
            await asyncio.to_thread(setting.postgres.start)
            await _answered(load, 20)
            await end()
        self._note(load)
        self.found["ms_postgres_down"] = _times(load, down, up, None)
        self.found["postgres_failures"] = _failures(load, None, 0, time.monotonic())
        ids = [reply.decision for reply in self.replies]
        back = time.monotonic()
        with suppress(TimeoutError):  # what is lost then is told
            await pair.until(lambda: _holds(setting, ids), 20)
        self.found["seconds_until_all_stored"] = round(time.monotonic() - back, 2)
        rows_of = setting.rows()
        self.found |= {
            "answers_held": len(ids),
            "rows": len(rows_of),
            "lost": sum(id not in rows_of for id in ids),
            "twice": sum(count > 1 for count in rows_of.values()) + len(ids) - len(set(ids)),
        }

    async def _revoke(self) -> None:
        """A key is revoked while both run."""
        id = next(key.id for key in self.keys.list() if key.name == "steady")
        self.keys.revoke(id)
        revoked = time.monotonic()
        clients = [Client([replica.port] * 2, self.steady, "probe") for replica in self.setting.replicas]
        await asyncio.gather(*(_first(client, 401) for client in clients))
        self.found["seconds_until_key_revoked"] = round(time.monotonic() - revoked, 2)
        self._note(clients)

    def _note(self, clients: Sequence[Client]) -> None:
        """Keep the answers that clients hold complete."""
        self.replies += [r for client in clients for r in client.replies if r.whole and r.status == 200]


def _reserve() -> float:
    """What is set aside for one call: a third of the prompt's bytes, and what every message adds."""
    return (1000 // 3 + 11 + MOST_OUT) * PER_TOKEN


def _lines(setting: Setting) -> Iterator[str]:
    for replica in setting.replicas:
        yield from replica.said.read_text(errors="replace").splitlines()


def _refused(client: Client) -> bool:
    return len(client.replies) > 20 and all(reply.status == 429 for reply in client.replies[-20:])


def _told(replica: pair.Replica, key: str) -> bool:
    return replica.metric("waypost_redis_up", key) == 1 and replica.metric("waypost_redis_untold", key) == 0


def _holds(setting: Setting, ids: Sequence[str]) -> bool:
    return setting.rows().keys() >= set(ids)


async def _first(client: Client, status: int) -> None:
    """Ask until the status is this."""
    with pair.asking([client]) as end:
        await pair.until(lambda: any(reply.status == status for reply in client.replies), 20)
        await end()


async def _answered(clients: Sequence[Client], more: int) -> None:
    """Wait until each client has had so many more answers."""
    goals = [(client, len(client.replies) + more) for client in clients]
    await pair.until(lambda: all(len(client.replies) >= goal for client, goal in goals))


def _failures(clients: Sequence[Client], replica: int | None, start: float, end: float) -> int:
    """Replies that are neither whole answers nor a limit's refusal."""
    replies = (r for c in clients for r in c.replies if start <= r.began < end and replica in (None, r.replica))
    return sum(not reply.whole or reply.status not in (200, 429) for reply in replies)


def _in_a_minute(clients: Sequence[Client]) -> int:
    """The most answers in any 60 seconds."""
    times = sorted(reply.ended for client in clients for reply in client.replies if reply.status == 200)
    return max((sum(start <= one < start + 60.0 for one in times) for start in times), default=0)


def _broken(client: Client, killed: float) -> int:
    """Requests under way at the replica that was killed, or sent there just after."""
    return sum(not reply.whole and reply.replica == 0 and reply.ended < killed + 1.0 for reply in client.replies)


def _times(clients: Sequence[Client], start: float, end: float, replica: int | None) -> dict[str, float]:
    """Milliseconds of the answers that began in a span."""
    replies = (r for c in clients for r in c.replies if start <= r.began < end and replica in (None, r.replica))
    took = sorted(1e3 * (r.ended - r.began) for r in replies if r.whole and r.status == 200)
    return {"answers": len(took), **{f"p{p}": round(took[int(len(took) * p / 100)], 1) for p in (50, 99) if took}}


def run(seconds: float, wait: float) -> dict[str, Any]:
    """All of it; the budgets are so that both end after the kill."""
    key_usd, team_usd = 4.5 * seconds, 12.0 * seconds
    with pair.running(lambda upstream, postgres, redis: config(upstream, postgres, redis, team_usd, wait)) as setting:
        found = uvloop.run(Run(setting, seconds, key_usd, team_usd).all())
    return {"redis_wait_seconds": wait, **found}


HEAD = """\
# Two replicas

Several gateways on one Postgres and one Redis are one gateway to those who ask it: they know the same keys, keep the same limits and budgets, and leave one log. This page says what holds when one of the four is killed, and is made by `python benchmarks/gateway/replicas.py`, which does it to real processes under load; what was spent is counted from the provider's own record.

Clients ask both replicas, streamed and not. One replica is killed with SIGKILL: its sibling on the same [spool](store.md) stores what it left, and its clients go on to the sibling. Then Redis is frozen for three seconds, and Postgres is killed and started again.

"""  # noqa: E501 - paragraphs of the page

SAYS = (
    ("answers that clients hold whole", "{answers_held:,}"),
    ("of these without a row in Postgres; with two", "{lost}; {twice}"),
    ("rows that the killed replica left; stored after", "{rows_left_by_killed}; {seconds_until_taken_over} s"),
    ("failures at the sibling", "{survivor_failures}"),
    ("budget of a key; what the provider served", "{usd_key_budget} USD; {usd_key_spent} USD"),
    ("budget of a team; what the provider served", "{usd_team_budget} USD; {usd_team_spent} USD"),
    ("the most that one call may cost", "{usd_reserve} USD"),
    ("requests a minute; the most answered in any minute", "{requests_per_minute}; {requests_in_a_minute}"),
    ("parallel requests; the most at the provider", "{parallel}; {parallel_at_most}"),
    ("the dead replica's parallel requests are given back after", "{seconds_until_slots_free} s"),
    ("times that Redis was slower than {redis_wait_seconds} s, and a replica counted alone", "{redis_fell_silent}"),
    ("p50, p99 before the kill", "{ms_before[p50]} ms, {ms_before[p99]} ms"),
    ("p50, p99 at the sibling in the two seconds after it", "{ms_during[p50]} ms, {ms_during[p99]} ms"),
    ("p50, p99 when both serve again", "{ms_after[p50]} ms, {ms_after[p99]} ms"),
    ("p50, p99 while Redis is frozen; failures", "{ms_frozen[p50]} ms, {ms_frozen[p99]} ms; {frozen_failures}"),
    ("afterwards: served by the provider; counted by Redis", "{usd_served} USD; {usd_counted} USD"),
    ("p50, p99 while Postgres is down", "{ms_postgres_down[p50]} ms, {ms_postgres_down[p99]} ms"),
    ("failures meanwhile", "{postgres_failures}"),
    ("a new key is known to both after", "{seconds_until_key_known} s"),
    ("a revoked key is refused by both after", "{seconds_until_key_revoked} s"),
)  # fmt: skip


def page(row: dict[str, Any] | None = None) -> str:
    """The page of the last row."""
    row = row or json.loads(KEPT.read_text().splitlines()[-1])
    lines = ["| | |", "|---|---|", *(f"| {says.format(**row)} | {told.format(**row)} |" for says, told in SAYS)]
    made = f"\nMeasured at {row['commit']}, {row['date'][:10]}, on {row['machine']} (load {row['load']}).\n"
    return HEAD + "\n".join(lines) + "\n" + made


def main() -> None:
    """Run and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="of load before the kill; other than 15: no row")
    parser.add_argument("--wait", type=float, default=0.25, help="`wait_seconds` of the limits; default: 0.25")
    parser.add_argument("--page", action="store_true", help="write the table from the last row")
    asked = parser.parse_args()
    if asked.page:
        PAGE.write_text(page())
        return
    found = run(asked.seconds, asked.wait)
    if asked.seconds == 15.0:
        rows.append("gateway_replicas", found)
    else:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
