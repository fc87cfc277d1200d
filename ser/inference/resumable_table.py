"""A long table is written in parts, so that an interrupted job can continue where it stopped.

.preds.parquet.parts/job.json                 everything that determines the rows
.preds.parquet.parts/00001.lock               held by the second process
.preds.parquet.parts/00001-000002.parquet     the third part of the second process
preds.parquet                                 all parts, once they are complete
"""

import json
import os
import shutil
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from filelock import FileLock
from filelock import Timeout

from ser.files import write_text
from ser.plural import counted

PATIENCE = 10.0  # seconds to wait for another run to end: workers of a killed run need some to notice
HELD: dict[Path, FileLock] = {}  # by this process, until it ends or its table is whole
WRITERS = {".csv": pyarrow.csv.CSVWriter, ".parquet": pq.ParquetWriter}


def new_output(name: str) -> Path:
    """The file of a table to write; `~` is the home folder, also in `--output=~/table.csv`.

    Raises:
        ValueError: The suffix is unknown, or the file already exists.
    """
    output = Path(name).expanduser()
    if output.suffix not in WRITERS:
        raise ValueError(f"expected --output to end in {' or '.join(WRITERS)}; got {str(output)!r}")
    if output.exists():
        raise ValueError(f"{str(output)!r} is there already; remove it, or choose another --output")
    return output


def open_parts(output: Path, job: dict) -> Path:
    """The folder for the parts of a job, new or left by an interrupted one; several processes may call this.

    Args:
        output: The table to write.
        job: Everything that determines its rows, as JSON.

    Raises:
        ValueError: The folder holds parts of another job, or cannot be written.
    """
    parts = output.with_name(f".{output.name}.parts")
    path, text = parts / "job.json", json.dumps(job, indent=2)
    try:
        parts.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise ValueError(
                f"{str(parts)!r} holds unfinished rows of another command, of other clips or of other weights "
                "(see its job.json): finish that job, or remove the folder"
            )
        write_text(path, text)
    except OSError as error:
        raise ValueError(f"{str(parts)!r} cannot be written: {error.strerror}; choose another --output") from error
    return parts


def rows_done(parts: Path, rank: int) -> int:
    """Number of rows that one process has finished; locks them against other runs.

    Raises:
        ValueError: Another run is writing them.
    """
    path = parts / f"{rank:05}.lock"
    if path not in HELD:
        lock = FileLock(path)
        try:
            lock.acquire(timeout=PATIENCE)
        except FileNotFoundError as error:
            raise ValueError(
                f"another run has just ended and removed {str(parts)!r}: look at its table first"
            ) from error
        except Timeout as error:
            raise ValueError(
                f"another run is writing the table of {str(parts)!r}: wait for it, or choose another --output"
            ) from error
        HELD[path] = lock
    return sum(pq.read_metadata(path).num_rows for path in parts.glob(f"{rank:05}-*.parquet"))


def write_part(parts: Path, rank: int, table: pa.Table) -> None:
    """Add a part to those of one process, in one step."""
    number = len(list(parts.glob(f"{rank:05}-*.parquet")))
    path = parts / f"{rank:05}-{number:06}.parquet"
    temporary = path.with_suffix(".unfinished")
    pq.write_table(table, temporary)
    os.replace(temporary, path)


def read_parts(parts: Path) -> Iterator[pa.Table]:
    """All parts, in the order of their rows."""
    return map(pq.read_table, sorted(parts.glob("*.parquet")))


def merge_parts(
    parts: Path, output: Path, schema: pa.Schema, change: Callable[[pa.Table], pa.Table] | None = None
) -> str:
    """Write all parts into `output`, one after the other, and remove them; rows without a `file` get their number.

    Args:
        parts: The folder with the parts.
        output: The table to write.
        schema: Its columns; parts may have more.
        change: Applied to each part before it is written.

    Returns:
        The number of clips, and of those with an `error`, in words.
    """
    rows, errors = 0, 0
    temporary = parts / "table.unfinished"
    with WRITERS[output.suffix](temporary, schema) as writer:
        for part in read_parts(parts):
            table = (change(part) if change else part).select(schema.names).cast(schema)
            numbers = pa.array([str(number) for number in range(rows, rows + len(table))], pa.string())
            writer.write_table(table.set_column(0, "file", pc.coalesce(table["file"], numbers)))
            rows += len(table)
            errors += len(table) - table["error"].null_count
    os.replace(temporary, output)
    for path in [path for path in HELD if path.parent == parts]:
        HELD.pop(path).release()
    shutil.rmtree(parts)
    return f"{counted(rows, 'clip')}, {errors:,} with errors"


__all__ = ["merge_parts", "new_output", "open_parts", "read_parts", "rows_done", "write_part"]
