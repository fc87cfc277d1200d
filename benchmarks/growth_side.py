"""One size of one task of `benchmarks.growth`, in a process of its own."""

import sys
from pathlib import Path

from transformers import pipeline

from benchmarks.turns import ROOT
from benchmarks.turns import hand_over
from ser.__main__ import main as ser_command
from ser.inference import timeline
from ser.training.arguments import parse_arguments
from ser.training.setup import prepare


def training_data(source: str, folder: Path) -> None:
    """From a folder of clips to features, splits and an untrained model."""
    places = ("--data_dir", source, "--cache_dir", str(folder / "cache"), "--output_dir", str(folder / "run"))
    prepare(parse_arguments(["--recipe", "cnn2d", *places]))


def prediction(source: str, folder: Path) -> None:
    """From a folder of clips to a table."""
    ser_command(["predict", source, "--output", str(folder / "predictions.parquet")])


def long_file(source: str, folder: Path) -> None:
    """From a recording to emotions over time."""
    timeline.analyse(source, pipeline("audio-classification", model=str(ROOT / "checkpoints/cnn2d")))


TASKS = {"training data": training_data, "prediction": prediction, "long file": long_file}


def main() -> None:
    task, source, folder = sys.argv[1:]
    hand_over()
    TASKS[task](source, Path(folder))
    hand_over()


if __name__ == "__main__":
    main()
