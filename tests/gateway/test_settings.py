"""A config is read, or refused with file, line, field, what is allowed and the nearest name."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadConfig
from waypost.gateway.sections import models
from waypost.gateway.settings import EMBEDDED, SCHEMA, ServerSettings, load, schema, schema_text
from waypost.objective import Objective
from waypost.pool.secret import Secret

FULL = """\
models:
  - name: smol
    kind: gguf
    path: builtin:smollm2-135m
    description: small
  - {name: mine, kind: gguf, path: models/mine.gguf, context: 4096, parameters: 7.0, released: 2024-10-31, open: true}
  - {name: arithmetic, kind: arithmetic}
  - name: gpt-4o-mini
    kind: openai
    base_url: https://api.example.com/v1
    api_key: ${OPENAI_API_KEY}
    upstream: gpt-4o-mini-2024
    usd_per_mtok_in: 0.15
    usd_per_mtok_out: 0.6
    capabilities: [tools, json]
    domains: [chat]
router: cheapest
profiles:
  default: {usd: 1}
  cheap: {usd: 500, flags: {local: 0.1}, bias: {arithmetic: -0.2}}
server: {host: 0.0.0.0, port: 9000, max_body_bytes: 1000, max_in_flight: 2}
store: rows.sqlite
log_prompts: true
"""
ENV = {"OPENAI_API_KEY": "sk-secret-123", "PORT": "8123", "XDG_CACHE_HOME": "/var/cache"}
MODEL = "models:\n  - {name: a, kind: arithmetic}\n"


@pytest.fixture
def read(tmp_path: Path):
    def from_text(text: str, env: dict[str, str] = ENV):
        path = tmp_path / "waypost.yaml"
        path.write_text(text)
        return load(path, env)

    return from_text


def test_every_field_arrives(read, tmp_path):
    settings = read(FULL)
    smol, mine, arithmetic, mini = settings.models
    assert smol.settings["path"] == Path("/var/cache/waypost/SmolLM2-135M-Instruct.Q4_1.gguf")
    assert (smol.card.parameters, smol.card.local, smol.card.description) == (0.135, True, "small")
    assert mine.settings["path"] == tmp_path / "models/mine.gguf"
    assert (mine.card.context, mine.card.released, mine.card.open) == (4096, date(2024, 10, 31), True)
    assert arithmetic.card.usd_per_call > 0
    assert mini.settings["api_key"] == Secret("sk-secret-123")
    assert (mini.settings["upstream"], mini.card.usd_per_mtok_out) == ("gpt-4o-mini-2024", 0.6)
    assert (mini.card.capabilities, mini.card.domains) == ({"tools", "json"}, ("chat",))
    assert mini.where == f"{tmp_path / 'waypost.yaml'}:8"
    cheap = Objective(usd=500, flags={"local": 0.1}, bias={"arithmetic": -0.2})
    assert settings.profiles == {"default": Objective(usd=1), "cheap": cheap}
    assert settings.server == ServerSettings("0.0.0.0", 9000, 1000, 2)
    assert settings.store == tmp_path / "rows.sqlite"
    assert (settings.router, settings.log_prompts) == ("cheapest", True)


def test_the_embedded_config_is_the_default_where_there_is_no_file(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = load(None, {})
    assert settings.file == EMBEDDED / "waypost.yaml"
    assert [model.name for model in settings.models] == ["arithmetic", "translate", "smollm2-135m"]
    assert settings.store == Path("waypost.sqlite"), "rows are written here, not into the installed package"
    (tmp_path / "waypost.yaml").write_text(MODEL)
    assert [model.name for model in load(None, {}).models] == ["a"]


def test_the_key_is_nowhere_to_be_seen(read):
    assert "sk-secret-123" not in repr(read(FULL))


def test_a_key_in_the_file_is_refused_and_not_repeated(read):
    with pytest.raises(BadConfig, match=r"yaml:11: 'models\[3\].api_key' must name an environment variable") as error:
        read(FULL.replace("${OPENAI_API_KEY}", "sk-secret-123"))
    assert "sk-secret-123" not in str(error.value)


def test_a_variable_that_is_not_set_is_named(read):
    with pytest.raises(BadConfig, match=r"yaml:11: .*OPENAI_API_KEY, which is not set"):
        read(FULL, {})
    with pytest.raises(BadConfig, match="which is not set"):
        read(FULL, {"OPENAI_API_KEY": ""})


def test_an_optional_model_without_its_key_is_kept_and_says_so(read):
    model = read(FULL.replace("kind: openai", "kind: openai\n    optional: true"), {}).models[3]
    assert model.missing == "the environment variable OPENAI_API_KEY is not set"
    assert read(FULL.replace("kind: openai", "kind: openai\n    optional: true")).models[3].missing is None


def test_references_fill_values_of_every_type(read):
    assert read(MODEL + "server: {port: '${PORT}'}").server.port == 8123
    assert read(MODEL + "server:\n  port: ${PORT}").server.port == 8123
    assert read(MODEL + "server: {host: 'host-${PORT}'}").server.host == "host-8123"


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("", "", "the file is empty"),
        ("models: [", ":1", "this is not YAML"),
        ("models:\n  - {name: a\n  kind: b}", ":3", "this is not YAML"),
        ("just text", ":1", "must be fields"),
        ("router: cheapest", ":1", "needs `models`"),
        ("models: []", ":1", "'models' must have at least one model"),
        ("models: {a: 1}", ":1", "'models' must be a list, got named fields"),
        ("models:\n  - kind: arithmetic", ":2", "needs `name`"),
        ("models:\n  - name: a", ":2", "needs `kind`"),
        ("models:\n  - name: a\n    kind: opena", ":3", "must be one of .*got 'opena'. Did you mean 'openai'"),
        ("models:\n  - name: a\n    kind: replay", ":3", "must be one of"),
        ("models:\n  - {name: a, kind: gguf}", ":2", "kind 'gguf', which needs `path`"),
        ("models:\n  - {name: a, kind: gguf, path: 'builtin:smollm'}", ":2", "Did you mean 'smollm2-135m'"),
        ("models:\n  - name: a\n    kind: openai\n    base_ur: x", ":4", "'models.0..base_ur' is unknown.*'base_url'"),
        ("models:\n  - {name: auto, kind: arithmetic}", ":2", "cannot be 'auto'"),
        ("models:\n  - {name: 'a,b', kind: arithmetic}", ":2", "must be made of letters"),
        ("models:\n  - {name: no, kind: arithmetic}", ":2", "must be text, got false .put it in quotes"),
        (MODEL + "  - {name: a, kind: arithmetic}", ":3", "has the name 'a', which .*:2 has too"),
        (MODEL + "  - {name: b, kind: arithmetic, name: c}", ":3", "'models.1..name' stands twice, first at line 3"),
        (MODEL + "  - {name: b, kind: arithmetic, context: big}", ":3", "must be a whole number, got 'big'"),
        (MODEL + "  - {name: b, kind: arithmetic, usd_per_call: -1}", ":3", "must be at least 0, got -1"),
        (MODEL + "  - {name: b, kind: arithmetic, usd_per_call: .nan}", ":3", "must be a number"),
        (MODEL + "  - {name: b, kind: arithmetic, open: 1}", ":3", "must be true or false, got 1"),
        (MODEL + "  - {name: b, kind: arithmetic, released: 2024}", ":3", "must be a date like 2024-10-31"),
        (MODEL + "  - {name: b, kind: arithmetic, capabilities: [tool]}", ":3", "Did you mean 'tools'"),
        (MODEL + "modles: 1", ":3", "'modles' is unknown; allowed here are .*Did you mean 'models'"),
        (MODEL + "models: 1", ":3", "'models' stands twice, first at line 1"),
        (MODEL + "router: nowhere", ":3", "must be builtin, cheapest, or a folder"),
        (MODEL + "strategy: cascad", ":3", "must be one of single, cascade; got 'cascad'"),
        (MODEL + "strategy: cascade", ":3", "needs `head`"),
        (MODEL + "server: {port: 70000}", ":3", "'server.port' must be 0 to 65535, got 70000"),
        (MODEL + "server:\n  prot: 1", ":4", "'server.prot' is unknown.*Did you mean 'port'"),
        (MODEL + "server: {max_in_flight: 0}", ":3", "must be at least 1"),
        (MODEL + "profiles:\n  cheap:\n    usd: -1", ":5", "profile 'cheap': 'usd' must be"),
        (MODEL + "profiles:\n  cheap: {}\n  cheap: {}", ":5", "stands twice"),
        (MODEL + "profiles:\n  cheap:\n    budget: 0", ":5", "profile 'cheap': 'budget' must be above zero"),
        (MODEL + "profiles:\n  mine:\n    allowed: [aa]", ":5", "profile 'mine': 'allowed': no model 'aa'.*mean 'a'"),
        (MODEL + "profiles:\n  mine:\n    bias: {aa: 1}", ":5", "profile 'mine': 'bias': no model 'aa'.*mean 'a'"),
        (MODEL + "head: here", ":3", "'head' is only for `strategy: cascade`"),
        (MODEL + "strategy: single\nhead: here", ":4", "'head' is only for `strategy: cascade`"),
        (MODEL + "strategy: cascade\nhead: h\nrouter: cheapest", ":5", "'router' is only for `strategy: single`"),
        (MODEL + "log_prompts: maybe", ":3", "must be true or false, got 'maybe'"),
        (MODEL + "? [a]\n: 1", ":3", "has a field whose name is not text"),
        (MODEL + "store: &a [*a]", ":3", "nested more than 20 levels deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(read, tmp_path, text, where, says):
    with pytest.raises(BadConfig, match=says) as error:
        read(text)
    assert str(error.value).startswith(f"{tmp_path / 'waypost.yaml'}{where}:")


@pytest.mark.parametrize(
    "text",
    [
        "models:\n  - {name: a, kind: '${OPENAI_API_KEY}'}",
        "models:\n  - {name: 'a ${OPENAI_API_KEY}', kind: arithmetic}",
        MODEL + "router: ${OPENAI_API_KEY}",
        MODEL + "server: {port: '${OPENAI_API_KEY}'}",
        MODEL + "profiles: {cheap: {usd: '${OPENAI_API_KEY}'}}",
        MODEL + "profiles: {cheap: {flags: {local: '${OPENAI_API_KEY}'}}}",
        MODEL + "cache: {semantic: {encoder: '${OPENAI_API_KEY}'}}",
    ],
)
def test_what_came_out_of_the_environment_is_named_and_not_said(read, text):
    with pytest.raises(BadConfig, match="the value of OPENAI_API_KEY") as error:
        read(text)
    assert "secret" not in str(error.value)


def test_all_mistakes_of_a_file_are_told_at_once(read):
    text = """\
models:
  - {name: a, kind: arithmetic, context: big}
  - {name: b, kind: openai, api_key: sk-1, timeout: long}
server: {port: high, max_in_flight: 0}
log_prompts: maybe
stor: here
"""
    with pytest.raises(BadConfig) as error:
        read(text)
    told = [str(one).split("waypost.yaml:")[1].split(" must")[0] for one in (error.value, *error.value.others)]
    assert [one.split(" is unknown")[0] for one in told] == [
        "6: 'stor'",
        "2: 'models[0].context'",
        "3: 'models[1].api_key'",
        "3: 'models[1].timeout'",
        "4: 'server.port'",
        "4: 'server.max_in_flight'",
        "5: 'log_prompts'",
    ]


def plain(text: str) -> object:
    """YAML as an editor sees it: a date is text."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)
    return yaml.load(text, loader)


def test_the_shipped_schema_is_the_one_of_the_code():
    """`waypost check-config --schema > src/waypost/embedded/waypost.schema.json` makes it again."""
    assert SCHEMA.read_text() == schema_text()


DOCS = Path(__file__).parents[2] / "docs"
SHOWN = re.findall(r"```yaml\n(.*?)```", (DOCS / "configuration.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("text", [FULL, (EMBEDDED / "waypost.yaml").read_text(), *SHOWN])
def test_the_schema_takes_what_is_taken(text):
    if "models:" not in text:  # a part of a file, as the documentation shows it
        text = MODEL + text
    jsonschema.Draft7Validator(schema()).validate(plain(text))


@pytest.mark.parametrize(
    "text",
    [
        "router: cheapest",
        "models: []",
        "models: {a: 1}",
        "models:\n  - {name: a, kind: opena}",
        "models:\n  - {name: a, kind: gguf}",
        "models:\n  - {name: a, kind: openai, base_ur: x}",
        "models:\n  - {name: auto, kind: arithmetic}",
        "models:\n  - {name: 'a,b', kind: arithmetic}",
        "models:\n  - {name: a, kind: openai, api_key: sk-1}",
        "models:\n  - {name: a, kind: arithmetic, context: big}",
        "models:\n  - {name: a, kind: arithmetic, usd_per_call: -1}",
        "models:\n  - {name: a, kind: arithmetic, open: 1}",
        "models:\n  - {name: a, kind: arithmetic, released: 2024}",
        "models:\n  - {name: a, kind: arithmetic, capabilities: [tool]}",
        MODEL + "modles: 1",
        MODEL + "strategy: cascad",
        MODEL + "server: {port: 70000}",
        MODEL + "server: {prot: 1}",
        MODEL + "server: [1]",
        MODEL + "profiles: {cheap: {usd: -1}}",
        MODEL + "profiles: {cheap: {budget: 0}}",
        MODEL + "profiles: {cheap: {flags: {locl: 1}}}",
        MODEL + "log_prompts: maybe",
        MODEL + "store: [a]",
    ],
)
def test_the_schema_refuses_what_is_refused(read, text):
    with pytest.raises(BadConfig):
        read(text)
    assert not jsonschema.Draft7Validator(schema()).is_valid(plain(text))


def test_every_setting_of_a_model_says_in_the_schema_what_it_means():
    shown = {name for one in schema()["properties"]["models"]["items"]["oneOf"] for name in one["properties"]}
    assert shown == set(models.SAYS)


@pytest.mark.parametrize(
    ("prices", "usd"),
    [
        ("usd_per_call: 0.5", 0.5),
        ("usd_per_call: 0.5, usd_per_mtok_in: 1, usd_per_mtok_out: 1", 2.5),
        ("usd_per_call: 0.5, usd_per_mtok_in: 1", None),
        ("context: 100", None),
    ],
)
def test_a_price_a_call_is_a_price(read, prices, usd):
    [model] = read(f"models:\n  - {{name: a, kind: openai, {prices}}}").models
    assert model.card.usd(1_000_000, 1_000_000) == usd


def test_cached_written_and_thought_tokens_may_have_prices_of_their_own(read):
    prices = "in: 4, usd_per_mtok_out: 8, usd_per_mtok_cached: 1, usd_per_mtok_written: 5, usd_per_mtok_reasoning: 16"
    [model] = read(f"models:\n  - {{name: a, kind: openai, usd_per_mtok_{prices}}}").models
    usd = model.card.usd(1_000_000, 1_000_000, cached=500_000, written=250_000, reasoning=500_000)
    assert usd == 0.5 + 1.25 + 1 + 8 + 4


def test_a_file_that_is_not_there_says_what_writes_one(tmp_path):
    with pytest.raises(BadConfig, match="No such file or directory; `waypost init` writes one"):
        load(tmp_path / "none.yaml", {})


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "waypost.yaml"
    path.write_bytes(b"models: \xff")
    with pytest.raises(BadConfig, match="must be UTF-8 text; byte 8 is not"):
        load(path, {})


@given(st.text(alphabet=st.sampled_from("mode ls:-{}[]&*!|>'\"#$\n\t,?a1${A}\0"), max_size=60))
def test_no_text_breaks_the_reader(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text("models:\n" + text)
    try:
        load(path, {"A": "x"})
    except BadConfig as error:
        assert str(error).startswith(f"{path}")
