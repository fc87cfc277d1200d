"""Clips of CREMA-D for a benchmark: the same ones each time, as a folder of links that is a small corpus."""

from pathlib import Path

import numpy as np

from ser.corpora.crema_d import CremaD


def some_clips(corpus: Path, count: int) -> list[Path]:
    """So many clips, drawn at random but the same each time."""
    clips = sorted(CremaD.find_clips(corpus)[0].values())
    if count > len(clips):
        raise SystemExit(f"expected at least {count} clips of CREMA-D below {corpus}; found {len(clips)}")
    return [clips[index] for index in np.random.default_rng(0).permutation(len(clips))[:count]]


def link(clips: list[Path], folder: Path) -> Path:
    """A folder with these clips."""
    folder.mkdir()
    for clip in clips:
        (folder / clip.name).symlink_to(clip.resolve())
    return folder
