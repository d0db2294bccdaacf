"""Small files in the published formats, read as a user reads them."""

import csv
import json

import pytest

from waypost.outcomes import readers
from waypost.outcomes.readers import Intake
from waypost.pool.usage import Usage


@pytest.fixture
def written(tmp_path):
    """Write a file: rows as CSV, JSON or JSON Lines by its ending, text as it is."""

    def write(name, rows):
        path = tmp_path / name
        if isinstance(rows, str):
            path.write_text(rows)
        elif name.endswith(".csv"):
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        elif name.endswith(".json"):
            path.write_text(json.dumps(rows))
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def answers():
    """The answers of files, and what was said of them."""

    def read(format, *paths, **units):
        intake = Intake(usage=Usage.of, **units)
        found = list(readers.answers(format, paths, intake, distinct=readers.named(format).scored))
        return found, intake

    return read
