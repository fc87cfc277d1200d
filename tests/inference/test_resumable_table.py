"""A table in parts has one writer at a time."""

import subprocess
import sys

import pyarrow as pa
import pytest
from conftest import ROOT

from ser.inference import resumable_table
from ser.inference.resumable_table import merge_parts
from ser.inference.resumable_table import open_parts
from ser.inference.resumable_table import rows_done
from ser.inference.resumable_table import write_part

OTHER = """
import sys
from pathlib import Path
from ser.inference.resumable_table import rows_done
print(rows_done(Path(sys.argv[1]), 0), flush=True)
sys.stdin.read()
"""
ROWS = pa.table({"file": ["a.wav"], "error": pa.array([None], pa.string())})


def test_a_second_run_is_refused_until_the_first_one_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(resumable_table, "PATIENCE", 0.1)
    parts = open_parts(tmp_path / "table.csv", {})
    write_part(parts, 0, ROWS)
    other = [sys.executable, "-c", OTHER, str(parts)]
    with subprocess.Popen(other, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "1\n"
        with pytest.raises(ValueError, match=r"another run is writing the table of '.*table.csv.parts': wait for it"):
            rows_done(parts, 0)
        assert rows_done(parts, 1) == 0  # another process of the same run
        first.kill()
    assert rows_done(parts, 0) == 1


def test_the_next_table_of_that_name_is_free(tmp_path):
    output = tmp_path / "table.csv"
    for _ in range(2):
        parts = open_parts(output, {})
        assert rows_done(parts, 0) == 0
        write_part(parts, 0, ROWS)
        assert merge_parts(parts, output, ROWS.schema) == "1 clip, 0 with errors"
        assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
        output.unlink()
