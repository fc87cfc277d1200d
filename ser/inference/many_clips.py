"""Many clips into one table: they are read in chunks, shared among workers and processes, and written in parts.

Each command only provides the function that makes the rows of a chunk.
"""

import argparse
import errno
import os
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from typing import TypeAlias

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import torch
from accelerate import PartialState
from huggingface_hub import try_to_load_from_cache
from tqdm.auto import tqdm

from ser.audio_files import GROUP
from ser.corpora.unlabelled_audio import Clips
from ser.corpora.unlabelled_audio import clips_at
from ser.corpora.unlabelled_audio import fingerprint
from ser.corpora.unlabelled_audio import open_clips
from ser.corpora.unlabelled_audio import share
from ser.corpora.unlabelled_audio import share_of
from ser.inference.loading import load_trained
from ser.inference.prediction_table import cores
from ser.inference.prediction_table import read_waveform
from ser.inference.resumable_table import new_output
from ser.inference.resumable_table import open_parts
from ser.inference.resumable_table import rows_done
from ser.inference.resumable_table import write_part
from ser.models.feature_extraction_ser import SERFeatureExtractor

Chunk: TypeAlias = list[tuple[dict, dict | None]]  # of each clip, its row so far and its features

CHUNK_CLIPS, CHUNK_SECONDS = 512, 1800.0  # of a chunk, which is held in memory
BATCH_SECONDS = 30.0  # of a batch, including padding; larger ones are slower on a CPU
SLICE = 64  # clips that a worker takes at a time
MANY = 128  # clips from which starting processes pays off
LONGEST_WAIT = timedelta(days=30)  # for the other processes


def read_clip(audio: dict | None, extractor: SERFeatureExtractor) -> tuple[dict, dict | None]:
    """Name and duration of a clip, and its features; or its name and the error, and None."""
    row, waveform = read_waveform(audio, extractor.sampling_rate)
    if waveform is None:
        return row, None
    try:
        features = extractor(waveform, sampling_rate=extractor.sampling_rate)
    except ValueError as error:
        return row | {"error": str(error)}, None
    return row, {name: values[0] for name, values in features.items()}


def read_chunk(clips: Iterator[tuple[dict | None, str | None]], extractor: SERFeatureExtractor) -> Chunk:
    """The next clips, up to `CHUNK_CLIPS` or just over `CHUNK_SECONDS`; an empty list at the end."""
    chunk, seconds = [], 0.0
    for audio, group in islice(clips, CHUNK_CLIPS):
        row, features = read_clip(audio, extractor)
        chunk.append((row | {GROUP: group}, features))
        seconds += row.get("duration", 0.0)
        if seconds > CHUNK_SECONDS:
            break
    return chunk


def batches(durations: dict[int, float]) -> Iterator[list[int]]:
    """Keys sorted by duration, in batches that fit into `BATCH_SECONDS` when padded to the longest clip."""
    batch: list[int] = []
    for key in sorted(durations, key=durations.__getitem__):
        if batch and durations[key] * (len(batch) + 1) > BATCH_SECONDS:
            yield batch
            batch = []
        batch.append(key)
    if batch:
        yield batch


class Slices(torch.utils.data.Dataset):
    """Slices of a share of the clips, for worker processes to read.

    Args:
        clips: All clips.
        numbers: Those of the share that remain.
        size: Clips in a slice.
        work: What a worker does with the clips of a slice.
    """

    def __init__(self, clips: datasets.Dataset, numbers: range, size: int, work: Callable[[Iterator], Any]):
        self.clips, self.numbers, self.size, self.work = clips, numbers, size, work

    def __len__(self) -> int:
        return -(-len(self.numbers) // self.size)

    def __getitem__(self, index: int) -> Any:
        try:
            return self.work(clips_at(self.clips, self.numbers[index * self.size : (index + 1) * self.size]))
        except OSError as error:  # for the main process to raise, without the worker's traceback
            return error


def read_all(clips: Iterator, extractor: SERFeatureExtractor) -> Iterator[Chunk]:
    """Chunk by chunk."""
    return iter(lambda: read_chunk(clips, extractor), [])


def answer_all(clips: Iterator, answer: Callable[[Chunk], pa.Table], extractor: SERFeatureExtractor) -> pa.Table:
    """One row for each clip, in their order."""
    return pa.concat_tables(map(answer, read_all(clips, extractor)))


def list_all(clips: Iterator, extractor: SERFeatureExtractor) -> list[Chunk]:
    """The chunks, for the process that runs the network."""
    return list(read_all(clips, extractor))


def as_is(value: Any) -> Any:
    """The result of a worker, unchanged."""
    return value


def end_with(parent: int, worker: int) -> None:
    """End this worker soon after its parent was killed, which torch does not notice while a pipe is full."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def workers_for(clips: int, processes: int) -> int:
    """Number of workers for so many clips: one for each core, shared among the processes of torchrun.

    No workers for few clips, or on a single core.
    """
    here = int(os.environ.get("LOCAL_WORLD_SIZE", processes)) if processes > 1 else 1  # on this machine
    workers = cores() // here
    return workers if clips >= MANY and workers > 1 else 0


class Job:
    """The clips that the options of a command name, its model and feature extractor, and the table to write of them."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.state = PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST_WAIT)
        self.output = new_output(options.output)
        self.clips = open_clips(options)
        model, self.extractor = load_trained(options.model, options.revision)
        self.model = model.to(self.state.device)
        self.rank, self.processes = self.state.process_index, self.state.num_processes
        whole = isinstance(self.clips, datasets.Dataset)  # a stream is read without workers
        self.numbers = share_of(self.clips, self.rank, self.processes) if whole else range(0)

    def write(self, table_of: Callable[..., pa.Table], put_together: Callable[[Path, Path], str]) -> None:
        """Write this process's share, and in the first process the table.

        Args:
            table_of: Makes the rows of a chunk; called with it, `model` and `extractor`.
            put_together: Writes the table from the folder of its parts; returns a summary in words.
        """
        parts = open_parts(self.output, describe_job(self.options, self.clips))
        try:
            done = rows_done(parts, self.rank)
            _, total = share(self.clips, self.rank, self.processes)
            with tqdm(unit="clip", total=total, initial=done, disable=not self.state.is_main_process) as bar:
                answer = partial(table_of, model=self.model, extractor=self.extractor)
                for table in gathered(self.tables(answer, done), bar.update):
                    write_part(parts, self.rank, table)
            self.state.wait_for_everyone()
            if self.state.is_main_process:
                print(f"{put_together(parts, self.output)}: {self.output}")
        except OSError as error:
            remedy = "free some space, and " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            raise OSError(f"{error}; finished rows are kept: {remedy}run the same command again") from error
        self.state.destroy_process_group()

    def tables(self, answer: Callable[[Chunk], pa.Table], done: int) -> Iterator[pa.Table]:
        """The rows of this process's share without the first `done`, in their order.

        Workers read many clips at a time. Without a GPU they also run the network, each on one core: this keeps all
        cores busy, as several threads gain little with batches this small.
        """
        numbers, on_cpu = self.numbers[done:], self.model.device.type == "cpu"
        if not (workers := workers_for(len(numbers), self.processes)):
            remaining, _ = share(self.clips, self.rank, self.processes, done=done)
            yield from map(answer, read_all(remaining, self.extractor))
            return
        work = partial(answer_all, answer=answer) if on_cpu else list_all
        size = min(SLICE, -(-len(numbers) // (4 * workers)))
        slices = Slices(self.clips, numbers, size, partial(work, extractor=self.extractor))
        end = partial(end_with, os.getpid())
        loader = torch.utils.data.DataLoader(
            slices, batch_size=None, num_workers=workers, collate_fn=as_is, worker_init_fn=end
        )
        for made in unless_killed(iter(loader)):
            if isinstance(made, OSError):
                raise made
            yield made if on_cpu else pa.concat_tables(map(answer, made))


def unless_killed(made: Iterator) -> Iterator:
    """The results of the workers; raises `OSError` if one of them was killed, for example when memory ran out."""
    try:
        yield from made
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):
            raise
        raise OSError("a worker process was killed, perhaps because memory ran out") from error


def gathered(tables: Iterator[pa.Table], progress: Callable[[int], Any]) -> Iterator[pa.Table]:
    """Joins tables up to about `CHUNK_CLIPS` rows or `CHUNK_SECONDS`, so that few parts are written."""
    rows, seconds, joined = 0, 0.0, []
    for table in tables:
        joined.append(table)
        rows, seconds = rows + len(table), seconds + (pc.sum(table["duration"]).as_py() or 0.0)
        progress(len(table))
        if rows >= CHUNK_CLIPS or seconds > CHUNK_SECONDS:
            yield pa.concat_tables(joined)
            rows, seconds, joined = 0, 0.0, []
    if joined:
        yield pa.concat_tables(joined)


def describe_job(options: argparse.Namespace, clips: Clips) -> dict:
    """Everything that determines the rows of a part: parts of different jobs must not be merged."""
    return vars(options) | {
        "folder": os.getcwd(),
        "clips": fingerprint(clips, options.dataset),
        "weights": weights_of(options.model, options.revision),
        "processes": PartialState().num_processes,
    }


def weights_of(name: str, revision: str | None) -> str:
    """Tells apart the weights and settings of a loaded model: times of its files, or its commit on the Hub."""
    if not Path(name).is_dir():
        return Path(str(try_to_load_from_cache(name, "config.json", revision=revision))).parent.name
    files = [*Path(name).glob("*.safetensors"), *Path(name).glob("config.json")]
    return str(sorted((path.name, path.stat().st_mtime_ns) for path in files))


__all__ = ["Chunk", "Job", "batches"]
