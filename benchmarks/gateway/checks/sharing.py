"""What requests have in common and must not: caches, sessions, budgets, and the gateway's own capacity."""

from __future__ import annotations

from collections import Counter

from checks.check import SPENDER_USD, Bed, Check, Found, Model, tells
from checks.talk import Reply

TENANTS = "Tenants"
MONEY = "Money"
LOAD = "Too much at once"
_ONE_KEY = "its keys for tenants want a database (Postgres), which is not part of this comparison"

# What the mock provider says it has read and written, at 1,000 USD a million tokens.
_ANSWER = {"max_tokens": 50}
_PROMPT = "Consider how a small harbour town might plan its ferries. " * 18  # about a kilobyte: 250 tokens
_CALL_USD = (250 + 50) * 1000 / 1e6
_BUDGET_USD = 5.0


def _cache(bed: Bed) -> Found:
    """The same request: a second time by the same key, and by another."""
    text = "Nobody has asked this before, and two do now"
    first, again = bed.client.chat("recorded-tenants", text), bed.client.chat("recorded-tenants", text)
    other = bed.client.chat("recorded-tenants", text, key=bed.other_key)
    mine, theirs = _text(first), _text(other)
    hit = again.headers.get("x-waypost-cache")
    did = f"one's own again: {hit or 'asked anew'}; another's: {'the same answer' if mine == theirs else 'asked anew'}"
    right = mine == _text(again) and hit == "exact" and mine != theirs and "x-waypost-cache" not in other.headers
    return Found(right, did)


def _semantic(bed: Bed) -> Found:
    """The same in other words, by another key."""
    mine = bed.client.chat("recorded-tenants", "Please tell me which town is the oldest of Portugal")
    near = "tell me which town is the oldest of portugal!"
    again = bed.client.chat("recorded-tenants", near)
    other = bed.client.chat("recorded-tenants", near, key=bed.other_key)
    hit = again.headers.get("x-waypost-cache")
    shared = _text(other) == _text(mine)
    did = f"one's own: {hit or 'asked anew'}; another's: {'the same answer' if shared else 'asked anew'}"
    return Found(hit == "semantic" and not shared and "x-waypost-cache" not in other.headers, did)


def _tools(bed: Bed) -> Found:
    """An answer that called a tool is not given to a question that only means the same."""
    tools = [{"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}]
    first = bed.client.chat("calls-tool", "Please pay the invoice of the baker", tools=tools)
    plain = bed.client.chat("calls-tool", "Please pay the invoice of the butcher")
    near = [
        bed.client.chat("calls-tool", "pay the invoice of the baker!", tools=tools),
        bed.client.chat("calls-tool", "pay the invoice of the butcher!"),
    ]
    hits = [reply.headers.get("x-waypost-cache") for reply in near]
    called = all("tool_calls" in str(reply.json) for reply in (first, plain))
    return Found(called and hits == [None, None], "asked anew" if hits == [None, None] else "answered from the cache")


def _sessions(bed: Bed) -> Found:
    """The same name of a conversation with two keys, in the log."""
    ids = []
    for key in (bed.client.key, bed.other_key, bed.client.key):
        text = f"Say it, {len(ids)}"
        body = b'{"model": "auto", "messages": [{"role": "user", "content": "%b"}]}' % text.encode()
        reply = bed.client.post("/v1/chat/completions", body, "x-waypost-session: s1\r\n", key=key)
        ids.append((reply.headers.get("x-waypost-decision"), key))
    rows = [bed.client.get(f"/v1/decisions/{id}", key=key).json for id, key in ids]
    sessions = [row.get("session") for row in rows]
    foreign = bed.client.get(f"/v1/decisions/{ids[0][0]}", key=bed.other_key)
    did = f"{len(set(sessions))} sessions for two keys with one name; another's decision: {foreign}"
    right = sessions[0] == sessions[2] != sessions[1] and bool(sessions[0]) and foreign.status == 404
    return Found(right, did)


def _text(reply: Reply) -> object:
    said = reply.json
    return said["choices"][0]["message"]["content"] if reply.status == 200 else None


def _race(bed: Bed) -> Found:
    """A model's budget is worth 16 of these calls."""
    return _raced(bed, "ok-budget", bed.client.key, _BUDGET_USD)


def _key_race(bed: Bed) -> Found:
    return _raced(bed, "ok-spender", bed.spender_key, SPENDER_USD)


def _raced(bed: Bed, model: str, key: str | None, budget: float) -> Found:
    replies = bed.client.many(100, lambda n: bed.client.chat(model, f"{_PROMPT} {n}", key=key, **_ANSWER))
    made = bed.tries(model)
    spent = made * _CALL_USD
    kinds = Counter(str(reply) for reply in replies)
    did = f"{made} calls, {spent:.2f} of {budget:.2f} USD; {', '.join(f'{n} × {kind}' for kind, n in kinds.items())}"
    refused = all(reply.status == 429 and tells(reply) for reply in replies if reply.status != 200)
    return Found(0 < spent <= budget + _CALL_USD and refused, did)


def _unpriced(bed: Bed) -> Found:
    reply = bed.client.chat("unpriced", "What does this cost?")
    cost = reply.headers.get(bed.cost_header)
    did = f"{reply}; cost: {cost if cost else 'unknown'}"
    right = reply.status == 200 and cost in (None, "", "None")
    if right and bed.name == "waypost":
        row = bed.client.get(f"/v1/decisions/{reply.headers['x-waypost-decision']}").json
        counted = "waypost_unpriced_calls_total" in bed.client.get("/metrics").body.decode()
        did += f"; {row['usd']} in the log; {'counted' if counted else 'not counted'} in the metrics"
        right = row["usd"] is None and counted
    return Found(right, did)


def _unpriced_budget(bed: Bed) -> Found:
    reply = bed.client.chat("unpriced-budget", "Is this paid from a budget?")
    named = "unpriced-budget" in str((reply.error or {}).get("message"))
    return Found(400 <= reply.status < 500 and tells(reply) and named and not bed.tries("unpriced-budget"), str(reply))


def overload(bed: Bed) -> Found:
    """Twelve requests of 0.7 s for a gateway that is to do four at once."""
    replies = bed.client.many(12, lambda number: bed.client.chat("slow-700ms-load", f"load {number}"))
    kinds = Counter(f"{reply}" for reply in replies)
    refused = [reply for reply in replies if reply.status != 200]
    later = sum("retry-after" in reply.headers for reply in refused)
    after = bed.client.chat("ok", "after the load")
    did = f"{', '.join(f'{n} × {kind}' for kind, n in sorted(kinds.items()))}; {later} with Retry-After"
    right = 4 <= len(replies) - len(refused) < 12 and after.status == 200
    right = right and all(reply.status in (429, 503) and tells(reply) for reply in refused)
    return Found(right and later == len(refused) > 0, did)


CHECKS = (
    Check(
        "tenants-cache",
        TENANTS,
        "two tenants send the same prompt, the cache is on",
        "each has a cache of its own",
        _cache,
        (Model("recorded-tenants", recorded=True),),
        _ONE_KEY,
    ),
    Check(
        "tenants-semantic-cache",
        TENANTS,
        "two tenants ask the same in other words (CVE-2026-89032)",
        "the cache by meaning never crosses tenants",
        _semantic,
        (Model("recorded-tenants", recorded=True),),
        _ONE_KEY,
    ),
    Check(
        "tools-semantic-cache",
        TENANTS,
        "a question like one whose answer called a tool (CVE-2026-89032)",
        "asked anew: a tool call is never repeated for another question",
        _tools,
        (Model("calls-tool", recorded=True),),
        "its cache by meaning wants Redis with a vector index, or Qdrant",
    ),
    Check(
        "tenants-session",
        TENANTS,
        "two tenants give their conversations the same name",
        "two sessions; neither sees the other's decisions",
        _sessions,
        (),
        "it has no such sessions",
    ),
    Check(
        "budget-race",
        MONEY,
        "100 requests at once for a model with a budget for 16",
        "spent at most the budget and one call; 429 for the others",
        _race,
        (Model("ok-budget", usd=_BUDGET_USD),),
    ),
    Check(
        "budget-race-key",
        MONEY,
        "100 requests at once with a key whose budget is enough for 3 of them",
        "spent at most the budget and one call; 429 for the others",
        _key_race,
        (Model("ok-spender"),),
        _ONE_KEY,
    ),
    Check(
        "price-unknown",
        MONEY,
        "a model that no price list knows answers",
        "its cost is unknown, and visibly so; never zero",
        _unpriced,
        (Model("unpriced", priced=False),),
    ),
    Check(
        "price-unknown-budget",
        MONEY,
        "the same with a budget",
        "refused with a sentence that names the model, before any call",
        _unpriced_budget,
        (Model("unpriced-budget", priced=False, usd=_BUDGET_USD),),
    ),
)

OVERLOAD = Check(
    "overload",
    LOAD,
    "twelve requests at once for a gateway that is to do four",
    "at least four answered; 503 or 429 in OpenAI's shape with `Retry-After` for the others, and then all is well",
    overload,
    (Model("slow-700ms-load"),),
)
