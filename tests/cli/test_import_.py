import csv
import json

import numpy as np
import pytest

from waypost.cli.import_ import FORMATS
from waypost.outcomes import example_table, parquet, samples
from waypost.outcomes.readers import READERS

SCORES = [
    {"question": "2 + 2?", "scores": {"small": 0, "large": 1}},
    {"question": "Hi", "scores": {"small": 1, "large": None}},
    {"question": "Hi", "scores": {"small": 1, "large": 0.5}},
]


@pytest.fixture
def bench(tmp_path):
    """Write RouterBench's CSV."""

    def write(name="rb.csv", score=("1.0", "0.5"), usd=("0.001", "0.002"), n=30, prefix="q"):
        path = tmp_path / name
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["sample_id", "prompt", "eval_name", "x", "y", "x|total_cost", "y|total_cost"])
            writer.writerows([f"{prefix}.{i}", f"{prefix} {i}?", "maths", *score, *usd] for i in range(n))
        return path

    return write


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_table_is_written_and_reads_back_as_it_was(waypost, bench, tmp_path):
    out = tmp_path / "out.parquet"
    shown, said = waypost("import", bench(), "--out", out)
    table = parquet.read(out)
    assert (table.models, len(table)) == (("x", "y"), 30)
    assert table.means() == {"x": (1.0, pytest.approx(0.001)), "y": (0.5, pytest.approx(0.002))}
    assert "read as routerbench, as its content tells" in said
    assert "out.parquet: 30 questions" in shown and f"waypost eval {out}" in shown


def test_our_own_table_survives_the_way_through(rows, tmp_path):
    table = example_table(40)
    parquet.write(tmp_path / "own.parquet", table)
    rows("import", tmp_path / "own.parquet", "--out", tmp_path / "again.parquet")
    first, second = (list(parquet.read(tmp_path / name).rows()) for name in ("own.parquet", "again.parquet"))
    assert first == second


def test_the_report_says_what_is_missing_doubled_and_without_cost(rows, tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(SCORES))
    (report,) = rows("import", path, "--format", "llmrouter", "--out", tmp_path / "out.parquet")
    assert (report["format"], report["questions"], report["answers"], report["left_out"]) == ("llmrouter", 3, 5, {})
    assert [model["quality"] for model in report["models"]] == [0.75, pytest.approx(2 / 3)]
    assert report["notes"] == [
        "cells without a score, which stay missing: 1 of 6",
        "questions that ask what another one asks, which a split keeps on one side: 1",
        "no answer has a cost; where tokens are counted, --prices makes them costs",
    ]


def test_the_help_names_every_format():
    assert FORMATS.replace(" or ", ", ").split(", ") == list(READERS)


def test_a_format_that_cannot_be_told_is_asked_for(waypost, tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(SCORES))
    _, said = waypost("import", path, "--out", tmp_path / "out.parquet", fails=True)
    assert "may be routerdc or llmrouter, which mean different things; say which with --format" in said


def test_a_file_of_no_format_says_what_it_holds(waypost, tmp_path):
    path = tmp_path / "shopping.csv"
    path.write_text("item,price\nbread,2\n")
    _, said = waypost("import", path, "--out", tmp_path / "out.parquet", fails=True)
    assert "(csv of item, price) looks like none of waypost, routerdc" in said


def test_files_of_two_formats_are_refused(waypost, bench, tmp_path):
    other = tmp_path / "own.parquet"
    parquet.write(other, example_table(20))
    _, said = waypost("import", bench(), other, "--out", tmp_path / "out.parquet", fails=True)
    assert "different formats (rb.csv: routerbench, own.parquet: waypost)" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--out", "out.txt"], "a table must end in .parquet, prompts in .jsonl or .csv"),
        (["--out", "out.parquet", "--format", "routerbenhc"], "Did you mean 'routerbench'"),
        (["--out", "out.parquet", "--prices", "prices.txt"], "give a .json or .yaml file, or 'list'"),
        (["--out", "out.parquet", "--prices", "gone.json"], "cannot read --prices gone.json: No such file"),
        (["--out", "out.parquet", "--prices", "gone.yaml"], "gone.yaml"),
        (["--out", "out.parquet", "--per", "inf"], "per is inf; it must be a finite number, 1 or more"),
        (["--out", "out.parquet", "--scale", "inf"], "scale is inf; it must be a finite number, 1 or more"),
    ],
)
def test_a_bad_command_line_is_refused(waypost, bench, words, sentence):
    assert sentence in waypost("import", bench(), *words, fails=True)[1]


def test_a_file_that_is_there_is_replaced_only_by_force(waypost, bench, tmp_path):
    out = tmp_path / "out.parquet"
    waypost("import", bench(), "--out", out)
    assert "exists; choose another --out, or --force" in waypost("import", bench(), "--out", out, fails=True)[1]
    waypost("import", bench(n=5), "--out", out, "--force")
    assert len(parquet.read(out)) == 5


def test_percent_is_refused_until_it_is_said(waypost, bench, tmp_path):
    out, path = tmp_path / "out.parquet", bench(score=("87", "45.5"))
    assert "with --scale 10 or --scale 100" in waypost("import", path, "--out", out, fails=True)[1]
    waypost("import", path, "--out", out, "--scale", 100)
    assert parquet.read(out).quality_NM[0].tolist() == [0.87, 0.455]


def test_scores_of_two_scales_are_refused_and_may_be_forced(waypost, bench, tmp_path):
    out, path = tmp_path / "out.parquet", bench(score=("87", "0.45"))
    refused = waypost("import", path, "--out", out, "--scale", 100, fails=True)[1]
    assert "no score of 'y' is above 1, on a scale to 100; are the units mixed?; --force" in refused
    assert not out.exists()
    assert f"forced: {path}: no score of 'y'" in waypost("import", path, "--out", out, "--scale", 100, "--force")[1]


def test_dear_queries_are_taken_for_thousands_until_it_is_said(waypost, bench, tmp_path):
    out, path = tmp_path / "out.parquet", bench(usd=("2.5", "3.5"))
    refused = waypost("import", path, "--out", out, fails=True)[1]
    assert f"{path}: more than half of the queries cost above $1 with 'x'; if these are costs of 1,000" in refused
    assert "import it with --per 1000, if not with --per 1; --force imports it as it is" in refused
    waypost("import", path, "--out", out, "--per", 1000)
    assert parquet.read(out).usd_NM[0].tolist() == [0.0025, 0.0035]
    waypost("import", path, "--out", out, "--per", 1, "--force")
    assert parquet.read(out).usd_NM[0].tolist() == [2.5, 3.5]


def test_costs_of_two_units_in_two_files_are_refused(waypost, bench, tmp_path):
    files = bench("a.csv"), bench("b.csv", usd=("0.9", "0.9"), prefix="r")
    _, said = waypost("import", *files, "--out", tmp_path / "out.parquet", fails=True)
    assert f"'x' costs $0.9 per query in {files[1]} and $0.001 in {files[0]}; are the units mixed" in said


def test_most_rows_without_a_score_are_refused_with_their_reason(waypost, bench, tmp_path):
    files = bench("a.csv", n=5), bench("b.csv", score=("", ""), n=9, prefix="r")
    _, said = waypost("import", *files, "--out", tmp_path / "out.parquet", fails=True)
    assert "18 of 28 answers cannot be used: the row has no score; --force imports it as it is" in said
    waypost("import", *files, "--out", tmp_path / "out.parquet", "--force")
    assert len(parquet.read(tmp_path / "out.parquet")) == 5


LINE = {"task_name": "gsm8k", "query": "2 + 2?", "ground_truth": "4", "metric": "GSM8K", "performance": 1.0}
USED = {"input_tokens": 1000, "output_tokens": 500}


@pytest.fixture
def routing(tmp_path):
    lines = [LINE | {"model_name": "small", **USED}, LINE | {"model_name": "large", **USED}]
    return jsonl(tmp_path / "routing.jsonl", lines)


def test_tokens_are_priced_by_a_list(rows, routing, tmp_path):
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"small": {"input_price": 0.2, "output_price": 0.4, "feature": "cheap"}}))
    (report,) = rows("import", routing, "--out", tmp_path / "out.parquet", "--prices", prices)
    table = parquet.read(tmp_path / "out.parquet").only(["small", "large"])
    np.testing.assert_allclose(table.usd_NM, [[0.0004, np.nan]])
    assert "answers priced by their tokens: 1" in report["notes"]
    assert "no price is known of large" in report["notes"]


def test_tokens_are_priced_by_a_config_and_by_list_prices(waypost, tmp_path):
    config = tmp_path / "waypost.yaml"
    model = (
        "  - {{name: {}, kind: openai, base_url: 'http://localhost:1/v1', usd_per_mtok_in: 1, usd_per_mtok_out: 2}}\n"
    )
    config.write_text("models:\n" + model.format("gpt-4o-mini") + model.format("mine"))
    lines = [LINE | {"model_name": name, **USED} for name in ("gpt-4o-mini", "mine")]
    path = jsonl(tmp_path / "routing.jsonl", lines)
    for prices, usd in ((config, [0.002, 0.002]), ("list", [0.00045, np.nan])):
        waypost("import", path, "--out", tmp_path / "out.parquet", "--prices", prices, "--force")
        table = parquet.read(tmp_path / "out.parquet").only(["gpt-4o-mini", "mine"])
        np.testing.assert_allclose(table.usd_NM, [usd])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not JSON"),
        ("[1]", "must be an object such as"),
        ('{"x": {"input_price": -1, "output_price": 1}}', "'x' needs input_price and output_price"),
        ('{"x": {"input_price": true, "output_price": 1}}', "'x' needs input_price and output_price"),
        ('{"x": 5}', "'x' needs input_price and output_price"),
    ],
)
def test_a_bad_price_list_is_refused(waypost, routing, tmp_path, content, sentence):
    (tmp_path / "prices.json").write_text(content)
    words = ("import", routing, "--out", tmp_path / "out.parquet", "--prices", tmp_path / "prices.json")
    assert sentence in waypost(*words, fails=True)[1]


def test_half_of_the_tokens_have_no_price(rows, tmp_path):
    lines = [LINE | {"model_name": name, **USED} for name in ("small", "large")]
    lines += [LINE | {"query": "3 + 3?", "model_name": name, "input_tokens": 1000} for name in ("small", "large")]
    lines += [LINE | {"query": "4 + 4?", "model_name": "small", "output_tokens": 1000}]
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({name: {"input_price": 1, "output_price": 2} for name in ("small", "large")}))
    path = jsonl(tmp_path / "routing.jsonl", lines)
    (report,) = rows("import", path, "--out", tmp_path / "out.parquet", "--prices", prices)
    found = parquet.read(tmp_path / "out.parquet").rows()
    costs = {(row.prompt, row.model): row.usd for row in found if row.usd is not None}
    assert costs == {("2 + 2?", "small"): 0.002, ("2 + 2?", "large"): 0.002}
    assert "answers with tokens in or out unknown, which have no price: 3" in report["notes"]


def test_a_log_is_priced_by_what_its_usage_bills(rows, tmp_path):
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 3100}
    log = jsonl(tmp_path / "log.jsonl", [{"request": request, "response": {"choices": [], "usage": usage}}])
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"gpt-4o": {"input_price": 2.5, "output_price": 10}}))
    (report,) = rows("import", log, "--out", tmp_path / "prompts.jsonl", "--prices", prices)
    assert report["models"] == [{"model": "gpt-4o", "calls": 1, "priced": 1, "usd": pytest.approx(0.0235)}]


def test_a_spend_of_nothing_is_priced_by_the_list(rows, tmp_path):
    log = jsonl(tmp_path / "log.jsonl", [call("Hi", spend=0.0, prompt_tokens=1000, completion_tokens=100)])
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"fast": {"input_price": 1, "output_price": 10}}))
    (report,) = rows("import", log, "--out", tmp_path / "prompts.jsonl", "--prices", prices)
    assert report["models"] == [{"model": "fast", "calls": 1, "priced": 1, "usd": pytest.approx(0.002)}]


def test_dear_calls_of_a_log_are_what_they_cost(rows, tmp_path):
    log = jsonl(tmp_path / "log.jsonl", [call("Hi", spend=3.0)])
    (report,) = rows("import", log, "--out", tmp_path / "prompts.jsonl")
    assert report["models"][0]["usd"] == 3


def call(prompt, model="fast", **changes):
    body = {"messages": [{"role": "user", "content": prompt}]}
    return {"request_id": prompt + model, "spend": 0.001, "model": model, "proxy_server_request": body, **changes}


def test_a_log_makes_no_table_and_says_what_it_makes(waypost, tmp_path):
    log = jsonl(tmp_path / "log.jsonl", [call("Hi")])
    _, said = waypost("import", log, "--out", tmp_path / "out.parquet", fails=True)
    assert "a litellm log has no scores" in said
    assert "waypost collect prompts.jsonl --judge MODEL --out" in said


def test_a_log_becomes_prompts_that_collect_can_read(rows, tmp_path):
    out = tmp_path / "prompts.jsonl"
    log = jsonl(tmp_path / "log.jsonl", [call("Hi"), call("Hi", "slow"), call("Bye"), call("x", status="failure")])
    (report,) = rows("import", log, "--out", out, "--good", "It greets back.")
    assert [(s.prompt, s.scorer, s.reference) for s in samples.read(out)] == [
        ("Hi", "judge", "It greets back."),
        ("Bye", "judge", "It greets back."),
    ]
    assert report["models"] == [
        {"model": "fast", "calls": 2, "priced": 2, "usd": 0.002},
        {"model": "slow", "calls": 1, "priced": 1, "usd": 0.001},
    ]
    assert report["left_out"] == {"the call failed": 1}
    assert "calls that asked what another one asked: 1 of 3; each prompt is written once" in report["notes"]


def test_queries_with_a_reference_keep_it(waypost, tmp_path):
    queries = [
        {"task_name": "gsm8k", "query": "2 + 2?", "ground_truth": "4", "metric": "GSM8K"},
        {"task_name": "nq", "query": "Who?", "ground_truth": "Ada", "metric": "cem"},
        {"task_name": "mmlu", "query": "Which?", "ground_truth": "the first", "metric": "em_mc"},
    ]
    waypost("import", jsonl(tmp_path / "query.jsonl", queries), "--out", tmp_path / "prompts.csv")
    assert [(s.scorer, s.reference, s.group) for s in samples.read(tmp_path / "prompts.csv")] == [
        ("number", "4", "gsm8k"),
        ("judge", "It comes to this answer: Ada", "nq"),
        ("judge", "It comes to this answer: the first", "mmlu"),
    ]


def test_a_log_without_any_prompt_says_why(waypost, tmp_path):
    log = jsonl(tmp_path / "log.jsonl", [call("Hi", proxy_server_request={})])
    _, said = waypost("import", log, "--out", tmp_path / "prompts.jsonl", fails=True)
    assert "left out 1 of 1 answers because no prompt was stored with it" in said
    assert "no prompt is left to write" in said


def test_a_large_pickle_is_refused_before_it_is_read(waypost, tmp_path):
    path = tmp_path / "stranger.pkl"
    with path.open("wb") as file:
        file.write(b"\x80\x04pandas DataFrame")
        file.truncate(5 * 10**9)  # takes no space on the disk
    _, said = waypost("import", path, "--out", tmp_path / "out.parquet", fails=True)
    assert "5,000,000,000 bytes and the limit for a pickle is 4,294,967,296" in said
