"""Several corpora as one table of clips: common labels, distinct speakers, each corpus split by its own protocol."""

import logging
from collections import Counter
from collections.abc import Sequence

import datasets
import numpy as np

from ser.corpora import CORPORA
from ser.corpora import with_title
from ser.corpora.crema_d import EMOTIONS
from ser.corpora.crema_d import VOTES
from ser.corpora.crema_d import CremaD
from ser.corpora.folder_corpus import FolderCorpus
from ser.corpora.labelled_audio import SPELLINGS
from ser.corpora.splits import speakers_of
from ser.corpora.splits import split

logger = logging.getLogger(__name__)

SHARED_COLUMNS = ["audio", "clip", "duration"]


def folders_of(named: Sequence[str]) -> dict[str, str]:
    """Folders by corpus name, parsed from texts like `emodb=DIR`.

    Raises:
        ValueError: A text is not of that form, or a corpus is unknown or named twice.
    """
    folders: dict[str, str] = {}
    for text in named:
        name, _, folder = text.partition("=")
        if not folder or name not in CORPORA:
            raise ValueError(f"expected NAME=DIR with NAME out of {', '.join(CORPORA)}; got {text!r}")
        if name in folders:
            raise ValueError(f"{name} is named twice; leave one of them out")
        folders[name] = folder
    return folders


def training_corpora(named: Sequence[str], test_corpus: str | None) -> list[type[FolderCorpus]]:
    """The corpora to train on: those of texts like `emodb=DIR`, without the one to test on.

    Raises:
        ValueError: There are too few, the test corpus is not among them, or one is ordinary speech only.
    """
    names = folders_of(named)
    trained = [corpus for name, corpus in CORPORA.items() if name in names and name != test_corpus]
    for corpus in trained:
        check_emotional(corpus)
    if len(names) < 2:
        raise ValueError("expected --corpora with two or more; for one corpus use --corpus and --data_dir")
    if test_corpus is not None and test_corpus not in names:
        raise ValueError(f"expected --test_corpus to be one of --corpora, {', '.join(names)}; got {test_corpus!r}")
    return trained


def check_emotional(corpus: type[FolderCorpus]) -> None:
    """Refuse a corpus of ordinary speech only.

    Raises:
        ValueError: All its clips are neutral.
    """
    if len(emotions_of(corpus)) < 2:
        raise ValueError(
            f"{corpus.TITLE} is ordinary speech only, all of it neutral: name another corpus here; this one is for "
            "--ordinary_speech of `python -m ser calibrate`"
        )


def emotions_of(corpus: type[FolderCorpus]) -> set[str]:
    """The emotions of a corpus, out of the six."""
    return {SPELLINGS[label] for label in corpus.FEATURES["label"].names if label in SPELLINGS}


def load_several(
    named: Sequence[str], test_corpus: str | None = None, *, cache_dir: str | None = None
) -> datasets.Dataset:
    """The clips of several corpora in the columns audio, clip, duration, label, speaker, corpus and listeners' votes.

    Labels are the emotions that the training corpora have, in the order of CREMA-D; clips of others are left out and
    counted. Names of speakers start with their corpus, except in CREMA-D, whose protocols list its actors.

    Args:
        named: Texts like `emodb=DIR`; their order does not matter.
        test_corpus: The one that is not trained on.
        cache_dir: Where tables are cached.

    Raises:
        ValueError: As `training_corpora`, or a corpus cannot be loaded.
    """
    emotions = set[str]().union(*map(emotions_of, training_corpora(named, test_corpus)))
    labels = [emotion for emotion in EMOTIONS if emotion in emotions]
    folders = folders_of(named)
    return datasets.concatenate_datasets(
        [
            _harmonised(corpus.load(folders[name], cache_dir=cache_dir), corpus, labels)
            for name, corpus in CORPORA.items()
            if name in folders
        ]
    )


def _harmonised(clips: datasets.Dataset, corpus: type[FolderCorpus], labels: Sequence[str]) -> datasets.Dataset:
    own = [clips.features["label"].int2str(label) for label in clips["label"]]
    emotions = [SPELLINGS.get(label) for label in own]
    kept = [index for index, emotion in enumerate(emotions) if emotion in labels]
    if left_out := Counter(own) - Counter(own[index] for index in kept):
        counts = ", ".join(f"{count} of {label}" for label, count in sorted(left_out.items()))
        logger.warning("left out clips of %s whose labels are not trained on: %s", corpus.TITLE, counts)
    clips = clips.select(kept)
    prefix = "" if corpus is CremaD else f"{corpus.TITLE}-"
    votes, unknown = (VOTES, ()) if corpus is CremaD else ((), VOTES)  # every corpus gets these columns
    columns = datasets.Dataset.from_dict(
        {
            "label": [labels.index(emotions[index]) for index in kept],
            "speaker": [prefix + speaker for speaker in speakers_of(clips) or ()],
            "corpus": [corpus.TITLE] * len(kept),
        }
        | {column: [None] * len(kept) for column in unknown},
        features=datasets.Features(
            {
                "label": datasets.ClassLabel(names=list(labels)),
                "speaker": datasets.Value("string"),
                "corpus": datasets.Value("string"),
            }
            | {column: datasets.Value("int32") for column in unknown}
        ),
    )
    return datasets.concatenate_datasets([clips.select_columns(SHARED_COLUMNS + [*votes]), columns], axis=1)


def own_protocol(title: str) -> str:
    """The protocol that splits a corpus among others."""
    return "tfds" if title == CremaD.TITLE else "speakers"


def split_each(clips: datasets.Dataset, *, split_seed: int = 0, test_corpus: str | None = None) -> datasets.DatasetDict:
    """Train, dev and test, each joined from the splits of all corpora by their `own_protocol`.

    Args:
        clips: Returned by `load_several`.
        split_seed: For the protocol speakers.
        test_corpus: Title of the corpus that is tested as a whole; the test clips of the others are then unused.

    Raises:
        ValueError: A corpus has too few clips or speakers.
    """
    titles = np.asarray(clips["corpus"][:])
    found: dict[str, list[datasets.Dataset]] = {"train": [], "dev": [], "test": []}
    for title in dict.fromkeys(titles.tolist()):
        own = clips.select(np.flatnonzero(titles == title))
        if title == test_corpus:
            found["test"].append(own)
            continue
        try:
            splits = split(own, own_protocol(title), split_seed=split_seed)
        except ValueError as error:
            raise ValueError(f"{title}: {error}") from error
        for name in ("train", "dev") if test_corpus else ("train", "dev", "test"):
            found[name].append(splits[name])
    return datasets.DatasetDict({name: datasets.concatenate_datasets(each) for name, each in found.items()})


def known_labels(clips: datasets.Dataset) -> np.ndarray:
    """Whether the corpus of each clip has each label, shape `(clips, num_labels)`."""
    names, titles = clips.features["label"].names, clips["corpus"][:]
    known = {
        title: np.isin(names, sorted(emotions_of(corpus))) for title in set(titles) if (corpus := with_title(title))
    }
    return np.stack([known[title] for title in titles])


def sampling_weights(clips: datasets.Dataset) -> np.ndarray:
    """How often to draw each clip, shape `(clips,)`: a corpus's share grows with the square root of its size."""
    titles = clips["corpus"][:]
    sizes = Counter(titles)
    return np.array([sizes[title] ** -0.5 for title in titles])


__all__ = [
    "check_emotional",
    "emotions_of",
    "folders_of",
    "known_labels",
    "load_several",
    "own_protocol",
    "sampling_weights",
    "split_each",
    "training_corpora",
]
