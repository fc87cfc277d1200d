"""Classify many clips: files, folders, patterns or a dataset in, one table out.

python -m ser predict clips --output preds.parquet                      # all audio files below a folder
python -m ser predict "clips/*.wav" other.mp3 --model runs/my/model --output preds.csv
python -m ser predict --dataset user/name --split test --streaming --output preds.parquet
torchrun --nproc_per_node 2 -m ser predict clips --output preds.parquet
python -m ser predict clips --ordinary_voice me.wav --output preds.csv  # relative to the voice of their one speaker
python -m ser predict clips --ordinary_voice voices --center_by speaker --output preds.csv  # each speaker to their own
python -m ser predict clips --center_by speaker --output preds.parquet  # relative to all clips of the speaker
python -m ser predict clip.wav --backend onnx --output preds.csv        # starts in a second, without torch
After an interruption, run the same command again: it continues where it stopped. A clip that cannot be read, or
is silent, becomes a row with the reason. Noise without speech also gets an emotion; `ser.inference.timeline` detects
speech.

--ordinary_voice makes answers relative to how the one speaker of all clips ordinarily talks, so that more of them are
right. Give one or a few recordings of a sentence or two, read or said without emotion into the same microphone.
With --center_by folder, each folder of clips has its own recordings: --ordinary_voice "clips/*/ordinary.wav". With
--center_by speaker, a metadata.csv (columns file and speaker) beside or above the clips, and one beside or above the
recordings, say who speaks. Clips without an ordinary voice stay as they are.

--center_by alone subtracts the mean log-probability over all clips of the same speaker (column speaker of the dataset,
or of the nearest metadata.csv beside or above the clips) or of the same folder. Use it only if these clips contain
several emotions: if one dominates, it is subtracted as well, and the predictions mislead. The only clip of a speaker or
folder stays as it is. For the windows of one long recording, see `ser.inference.timeline.relative_to_recording`.

--backend onnx writes the same table. The first time, it converts the model to ONNX, which needs torch and the extra
`onnx`; the file is kept in ~/.cache/ser.
"""

import argparse

from ser.inference.prediction_table import STOPPED
from ser.inference.prediction_table import add_inputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_inputs(parser)
    parser.add_argument(
        "--ordinary_voice",
        nargs="+",
        metavar="FILE",
        help="make predictions relative to the ordinary voice of the clips' speaker, recorded in these files",
    )
    parser.add_argument(
        "--center_by",
        choices=("speaker", "folder"),
        help="make predictions relative to all clips of the same speaker or folder, which must contain several "
        "emotions; with --ordinary_voice, relative to the recordings of that speaker or folder instead",
    )
    parser.add_argument("--output", required=True, help="table to write, a new file: .parquet or .csv")
    parser.add_argument(
        "--backend",
        choices=("torch", "onnx"),
        default="torch",
        help="torch is faster for many clips (default), onnx for a few",
    )


def run(options: argparse.Namespace) -> None:
    """Classify all clips; imports torch only if it is needed, as that takes seconds."""
    if options.backend == "onnx":
        from ser.inference.onnx_predict import run
    else:
        from ser.inference.torch_predict import run
    run(options)


__all__ = ["STOPPED", "add_arguments", "run"]
