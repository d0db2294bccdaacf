"""One check for each kind of incident that gateways have had."""

from __future__ import annotations

import email
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import peers
from checks.check import Bed, Check, Found, Model
from checks.talk import CHAT, Reply

GROUP = "Incidents elsewhere"
_BODY = json.dumps({"model": "ok", "messages": [{"role": "user", "content": "Hello"}]}).encode()
_ROOT = Path(__file__).resolve().parents[3]


def _kinds(replies: Iterable[Reply]) -> str:
    return ", ".join(dict.fromkeys(str(reply) for reply in replies))


def _sql(bed: Bed) -> Found:
    """What breaks out of a statement in the most common dialects."""
    wrong = [
        "' OR '1'='1",
        "'; DROP TABLE keys; --",
        '" OR 1=1 --',
        "x' UNION SELECT digest FROM keys --",
        "\\'; SELECT 1",
    ]
    wrong += ["sk-' OR token LIKE '%", "$1", "%s", "{}", "'||pg_sleep(5)||'"]
    plain = bed.client.post(CHAT, _BODY, key="sk-unknown")
    replies = [bed.client.post(CHAT, _BODY, key=key) for key in wrong]
    alike = all((reply.status, reply.body) == (plain.status, plain.body) for reply in replies)
    works = bed.client.chat("ok").status == 200
    slowest = max(reply.seconds for reply in replies)
    did = f"{_kinds(replies)}; {'as any wrong key' if alike else 'not as any wrong key'}; {slowest:.1f} s at most"
    right = all(reply.status == 401 and reply.seconds < 3 for reply in replies) and alike and works
    return Found(right, did)


def _host(bed: Bed) -> Found:
    """Nobody without a key is told anything, whatever the Host or the path looks like."""
    head = f"Content-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    open_ = "/health/live"
    hosts = (
        "localhost",
        "localhost/health/live?",
        f"x{open_}#",
        "127.0.0.1:80@evil",
        "a/../health/live",
        "health",
        "?",
    )
    asked = [f"POST {CHAT} HTTP/1.1\r\nHost: {host}\r\n{head}" for host in hosts]
    paths = (
        f"{open_}/..{CHAT}",
        f"/{CHAT}",
        f"{CHAT}?x={open_}",
        f"{CHAT};{open_}",
        f"{CHAT}%2e",
        f"{open_}%2f..{CHAT}",
    )
    paths += (f"/.{CHAT}", CHAT.upper(), f"{CHAT}/", f"http://x{open_}{CHAT}", f"http://{open_}{CHAT}", f"*{CHAT}")
    asked += [f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}" for path in paths]
    asked += [f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nX-Original-URL: {open_}\r\nX-Forwarded-Host: localhost\r\n{head}"]
    before = bed.tries("ok")
    replies = [bed.client.raw(one.encode() + _BODY) for one in asked]
    let_in = bed.tries("ok") - before
    kinds = sorted({reply.status for reply in replies})
    right = not let_in and all(400 <= status < 500 for status in kinds)
    return Found(right, f"{let_in} of {len(asked)} let in; {', '.join(map(str, kinds))}")


def _leaves_a_file(requests: Callable[[str], list[tuple[str, object]]]) -> Callable[[Bed], Found]:
    """Requests that would run a command which makes a file, sent with a good key."""

    def run(bed: Bed) -> Found:
        with tempfile.TemporaryDirectory() as folder:
            mark = Path(folder) / "ran"
            sent = requests(str(mark))
            replies = [bed.client.post(path, json.dumps(body).encode()) for path, body in sent]
            ran = mark.exists()
        did = f"{'the command ran' if ran else 'nothing ran'}; {_kinds(replies)}"
        return Found(not ran, did)

    return run


def _processes(mark: str) -> list[tuple[str, object]]:
    stdio = {"transport": "stdio", "command": "touch", "args": [mark], "server_name": "x", "url": ""}
    paths = ("/mcp-rest/test/connection", "/mcp-rest/test/tools/list", "/v1/mcp/server", "/mcp", "/mcp/tools/call")
    paths += ("/api/mcp/client", "/v1/mcp/test", "/admin/exec", "/debug/exec", "/plugins")
    return [(path, stdio) for path in paths]


def _code(mark: str) -> list[tuple[str, object]]:
    code = f"import os\nos.system('touch {mark}')\ndef apply_guardrail(inputs, *a): return inputs\n"
    body = {"custom_code": code, "code": code, "test_input": {"texts": ["a"]}, "guardrail_name": "x"}
    paths = ("/guardrails/test_custom_code", "/guardrails", "/guardrails/apply_guardrail", "/v1/hooks", "/functions")
    return [(path, body) for path in paths]


def _templates(bed: Bed) -> Found:
    """Templates stay text, in the prompt and in what would be a template of the server's."""
    evil = (
        "{{ 7*191 }} ${7*191} <%= 7*191 %> {{ cycler.__init__.__globals__.os.popen('id').read() }} {% for x in [1] %}"
    )
    before = len(bed.provider.requests)
    fields = {"chat_template": evil, "prompt_variables": {"a": evil}, "hf_chat_template": evil}
    reply = bed.client.chat("recorded-template", evil, **fields)
    got = [request.json for request in bed.provider.requests[before:]]
    kept = reply.status == 400 or (bool(got) and got[-1]["messages"][0]["content"] == evil)
    prompt = {"dotprompt_content": f"---\nmodel: ok\n---\n{evil}", "prompt_variables": {}}
    other = bed.client.post("/prompts/test", json.dumps(prompt).encode())
    worked_out = any(b"1337" in text for text in (reply.body, other.body, str(got).encode()))
    did = f"{reply}, {'the provider got it as it was' if kept else 'changed on the way'}; the prompt tester: {other}"
    return Found(kept and not worked_out and "uid=" not in str(got), f"{did}{'; worked out' if worked_out else ''}")


def _prefix(bed: Bed) -> Found:
    """A good key is used, then one that begins alike for as long as can be."""
    key = bed.client.key or ""
    ends = ["!" * (len(key) - cut) for cut in (20, 32, len(key) - 1)]
    replies = []
    for end in ends:
        assert bed.client.chat("ok").status == 200
        replies.append(bed.client.post(CHAT, _BODY, key=key[: len(key) - len(end)] + end))
    return Found(all(reply.status == 401 for reply in replies), _kinds(replies))


def _roles(bed: Bed) -> Found:
    """An ordinary key asks to be more."""
    body = json.dumps(
        {"user_role": "proxy_admin", "allowed_routes": ["/*"], "models": ["*"], "max_budget": 1e9, "disabled": False}
    ).encode()
    paths = [
        "/user/update",
        "/user/new",
        "/key/generate",
        "/key/update",
        "/key/regenerate",
        "/team/update",
        "/team/new",
    ]
    paths += ["/config/update", "/config", "/model/new", "/keys", "/v1/keys", "/admin/keys", "/v1/config", "/reload"]
    replies = [bed.client.post(path, body) for path in paths]
    done = [path for path, reply in zip(paths, replies, strict=True) if reply.status not in (401, 403, 404, 405)]
    return Found(not done, f"{len(paths)} paths: {_kinds(replies)}")


def _logs(bed: Bed) -> Found:
    """The provider says the key that it was sent; clients send keys where they do not belong."""
    key = bed.client.key or ""
    replies = [bed.client.chat("echoes-key"), bed.client.chat("echoes-key", stream=True)]
    replies += [bed.client.chat("ok", "x", api_key=key), bed.client.chat(key), bed.client.chat("ok", temperature=key)]
    replies += [bed.client.get(f"/v1/models?api_key={key}"), bed.client.get(f"/{key}"), bed.client.raw(key.encode())]
    replies += [bed.client.post(CHAT, _BODY[:-9] + key.encode()), bed.client.post(CHAT, _BODY, f"x-{key}: {key}\r\n")]
    log = bed.said.read_text(errors="replace")
    logged = [secret for secret in bed.secrets if secret in log]
    providers = [secret for secret in bed.secrets if secret != key]
    told = sum(secret.encode() in reply.body for secret in providers for reply in replies)
    lines = log.count("Traceback (most recent call last)")
    did = f"{len(logged)} of {len(bed.secrets)} keys in the log, {told} answers with a key of the gateway's"
    return Found(not logged and not told, did + (f", {lines} tracebacks in the log" if lines else ""))


def _supply(bed: Bed) -> Found:
    """What is installed runs no code by itself at the start of Python, and has a hash for every file."""
    if bed.name == "waypost":
        with tempfile.TemporaryDirectory() as folder:
            build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
            subprocess.run([*build, "--wheel-dir", folder, str(_ROOT)], check=True, capture_output=True)
            (made,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(made) as wheel:
                named = wheel.namelist()
                about = wheel.read(next(name for name in named if name.endswith("/METADATA"))).decode()
                record = wheel.read(next(name for name in named if name.endswith("/RECORD"))).decode()
    else:
        site = next(peers.python("litellm[proxy]==1.106.2").parents[1].glob("lib/python3*/site-packages"))
        info = next(site.glob("litellm-*.dist-info"))
        about, record = (info / "METADATA").read_text(), (info / "RECORD").read_text()
        named = [line.split(",")[0] for line in record.splitlines()]
    unhashed = [line.split(",")[0] for line in record.splitlines() if "sha256=" not in line and not _made_by_pip(line)]
    starts = [name for name in named if name.endswith((".pth", "sitecustomize.py", "usercustomize.py"))]
    needs = email.message_from_string(about).get_all("Requires-Dist") or []
    base = sum("extra ==" not in need for need in needs)
    did = f"{len(named):,} files, {len(starts)} that run at the start, {len(unhashed)} without a hash; "
    did += f"needs {base} packages"
    return Found(not starts and not unhashed, did)


def _made_by_pip(line: str) -> bool:
    name = line.split(",")[0]
    return name.endswith((".pyc", "/RECORD", "/INSTALLER", "/REQUESTED", "/direct_url.json")) or name.startswith("../")


CHECKS = (
    Check(
        "sql-in-authorization",
        GROUP,
        "ten pieces of SQL as the key (CVE-2026-42208)",
        "401 as for any wrong key; good keys go on working",
        _sql,
    ),
    Check(
        "host-auth-bypass",
        GROUP,
        "no key, and a `Host`, a path or a target that looks like one that is open (CVE-2026-49468, CVE-2026-48710)",
        "nobody is let in; 4xx",
        _host,
    ),
    Check(
        "process-starting-endpoints",
        GROUP,
        "a good key asks ten paths to start a command, as MCP servers are tested (CVE-2026-42271, CVE-2026-30623)",
        "nothing runs",
        _leaves_a_file(_processes),
    ),
    Check(
        "template-injection",
        GROUP,
        "templates in the prompt, in `chat_template` and to a tester of prompts (CVE-2026-42203, CVE-2024-2952)",
        "the provider gets the text as it is, or 400; nothing is worked out",
        _templates,
        (Model("recorded-template", recorded=True),),
    ),
    Check(
        "user-code",
        GROUP,
        "a good key sends Python to five paths, as guardrails are tested (CVE-2026-40217)",
        "nothing runs",
        _leaves_a_file(_code),
    ),
    Check(
        "identity-by-prefix",
        GROUP,
        "after a good key, one with the same beginning (CVE-2026-35030)",
        "401",
        _prefix,
    ),
    Check(
        "role-escalation",
        GROUP,
        "an ordinary key sends itself more rights at 15 paths (CVE-2026-47101, -47102, -35029)",
        "401, 403, 404 or 405",
        _roles,
        (),
        "its ordinary keys want a database, which is not part of this comparison; the master key may do all this",
    ),
    Check(
        "keys-in-log",
        GROUP,
        "a provider that repeats the key that it got; the client's key in the model, the path, the body, a header",
        "no key in the log, no provider's key in an answer",
        _logs,
        (Model("echoes-key", recorded=True),),
    ),
    Check(
        "supply-chain",
        GROUP,
        "the files of the package (LiteLLM 1.82.7 brought a stealer in a `.pth` file)",
        "no file that runs when Python starts; a hash for every file",
        _supply,
    ),
)
