"""Small files in the published formats, and the commands run as a user runs them."""

import csv
import json
import sys
import time

import numpy as np
import pytest

from waypost import cli
from waypost.outcomes import example_table
from waypost.store import Decided, Feedback
from waypost.store.database import Database
from waypost.store.line import written
from waypost.types import Decision


@pytest.fixture(autouse=True)
def in_a_file(monkeypatch):
    """What is printed is as wide as in a file, whatever terminal the tests run in."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def waypost(monkeypatch, capsys):
    """Run a command: stdout and stderr of one that must succeed, or with ``fails`` must not."""

    def run(*words, fails=False):
        monkeypatch.setattr(sys, "argv", ["waypost", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == (2 if fails else 0)
        shown = capsys.readouterr()
        return shown.out, shown.err

    return run


@pytest.fixture
def rows(waypost):
    """The JSON objects that a command prints."""

    def run(*words, **options):
        return [json.loads(line) for line in waypost(*words, "--json", **options)[0].splitlines()]

    return run


@pytest.fixture
def routerdc(tmp_path):
    """Write a part of the example table in RouterDC's format."""

    def write(name, n=120, seed=0, scores=None):
        table = example_table(n, seed=seed)
        path = tmp_path / f"{name}.json"
        quality = table.quality_NM.tolist() if scores is None else [scores] * n
        asked = [f"{name}: {prompt}" for prompt in table.prompts]
        content = [
            {"question": prompt, "scores": dict(zip(table.models, row, strict=True))}
            for prompt, row in zip(asked, quality, strict=True)
        ]
        path.write_text(json.dumps(content))
        return path

    return write


@pytest.fixture
def routerbench(tmp_path):
    """Write a part of the example table in RouterBench's format, with made-up answers."""

    def write(name, n=120, seed=0):
        table = example_table(n, seed=seed)
        path = tmp_path / f"{name}.csv"
        with path.open("w", newline="") as file:
            out = csv.writer(file)
            parts = ("", "|model_response", "|total_cost")
            out.writerow(["sample_id", "prompt", "eval_name", *(m + part for part in parts for m in table.models)])
            for i, prompt in enumerate(table.prompts):
                answers = [str(["A fine answer." if q else "I am not sure"]) for q in table.quality_NM[i]]
                usd = np.round(table.usd_NM[i], 9).tolist()
                out.writerow([i, str([f"{name}: {prompt}"]), table.groups[i], *table.quality_NM[i], *answers, *usd])
        return path

    return write


DECISION = Decision("shadow", ("large",), {}, {}, {}, {}, {}, {}, "because")


@pytest.fixture
def keep():
    """Put decisions into a store, as a gateway does."""

    def keep(store, *, old=0.0, **fields):
        """Forty answered requests of twenty conversations, and feedback to half of them."""
        database = Database(store)
        made = [
            Decided(
                f"{number}{sorted(fields)}{old}",
                time.time() - old,
                "",
                None,
                "auto",
                DECISION,
                (),
                "large",
                0.01,
                1.0,
                5,
                7,
                200,
                session=str(number // 2),
                **fields,
            )
            for number in range(40)
        ]
        database.keep([written(row).removesuffix(b"\n") for row in made])
        database.say([Feedback(row.id, row.time, quality).row() for row in made[:20] for quality in (0.5, 1.0)])
        database.close()

    return keep
