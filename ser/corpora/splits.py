"""Protocols: which clips are for training, which for selection (dev) and which for the final scores (test)."""

import hashlib
import itertools
import warnings
from collections import Counter
from collections.abc import Sequence

import datasets
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.model_selection import train_test_split

from ser.corpora.crema_d import SENTENCES
from ser.corpora.folder_corpus import NAMELESS

PROTOCOLS = ("tfds", "actor-5fold", "new-sentences", "loso", "given", "speakers", "random", "random-70-30", "leaky")
PER_CORPUS = "per-corpus"  # each of several corpora by its own protocol
LEAVE_ONE_CORPUS_OUT = "leave-one-corpus-out"
ACROSS_CORPORA = (PER_CORPUS, LEAVE_ONE_CORPUS_OUT)  # see `several_corpora`
ORDER = ("train", "dev", "test")
FOLDED = ("actor-5fold", "new-sentences", "loso")
SPEAKER_COLUMNS = ("actor", "speaker")
TFDS_TEST = "1010 1013 1022 1026 1037 1038 1040 1045 1047 1048 1059 1065 1066 1068 1071 1073 1084 1086 1088".split()
TFDS_DEV = "1015 1020 1021 1030 1050 1070 1079 1089 1090".split()
TFDS_LEFT_OUT = {"1040_ITH_SAD_XX", "1006_TIE_NEU_XX", "1013_WSI_DIS_XX", "1017_IWW_FEA_XX"}
# The blocks of EMO-SUPERB (arXiv:2402.13018): 18 actors each, 19 in the last.
BLOCKS = [
    range(first, last + 1) for first, last in ((1001, 1018), (1019, 1036), (1037, 1054), (1055, 1072), (1073, 1091))
]
NEW_SENTENCES = [SENTENCES[start : start + 4] for start in range(0, len(SENTENCES), 4)]


def split(
    clips: datasets.Dataset, protocol: str, *, fold: int | None = None, split_seed: int = 0
) -> datasets.DatasetDict:
    """Divide clips into the splits train, dev and test; the column speaker is left out if it is unknown for some clips.

    Args:
        clips: Rows with label, and with actor (or speaker) and clip name for the protocols by speaker.
        protocol: Which of `PROTOCOLS`:

            - "tfds": 19 test and 9 dev actors of CREMA-D, as TensorFlow Datasets and SERAB have them;
            - "actor-5fold": five blocks of actors of CREMA-D, the next block is dev;
            - "new-sentences": as "tfds", with four of the twelve sentences in test and the rest in train and dev;
            - "loso": leave one speaker out, the next speaker is dev;
            - "speakers": about 80/10/10, each speaker in one split only; where speakers are unknown, each clip counts
              as a speaker, and training warns of it;
            - "given": the splits that the data brings (column split); if it brings no dev split, one is drawn from
              train, by speaker if three or more are known;
            - "random": 80/10/10 stratified by label, with the same speakers in all splits, as most class projects do;
            - "random-70-30": the same with 30 % for test and 5 % of the rest for dev;
            - "leaky": rows of `with_copies` drawn at random, 30 % for test, which is also used as dev.
              Its scores are invalid; it shows how far such a leak raises them.
        fold: For "actor-5fold" (1 to 5), "new-sentences" (1 to 3) and "loso" (1 to the number of speakers); None for
            the others.
        split_seed: For "speakers", the random ones, and a dev split that is drawn for "given".

    Raises:
        ValueError: The protocol is unknown, the fold is out of range, there are no speakers, or a split has no clips.
    """
    if fold is not None and protocol in set(PROTOCOLS) - set(FOLDED):
        raise ValueError(f"the {protocol} protocol has no folds; leave out --fold, or use {', '.join(FOLDED)}")
    if protocol == "random":
        splits = _random(clips, split_seed, test=0.1, dev=0.1)
    elif protocol == "random-70-30":
        splits = _random(clips, split_seed, test=0.3, dev=0.7 * 0.05)
    elif protocol == "leaky":
        splits = _random(clips, split_seed, test=0.3, dev=0.0)
    elif protocol == "speakers":
        splits = _by_any_speaker(clips, split_seed)
    elif protocol == "given":
        splits = _given(clips, split_seed)
    elif protocol == "tfds":
        keep = [index for index, clip in enumerate(_column(clips, "clip")) if clip not in TFDS_LEFT_OUT]
        splits = _by_speaker(clips.select(keep), dev=TFDS_DEV, test=TFDS_TEST)
    elif protocol == "new-sentences":
        splits, tested = split(clips, "tfds"), NEW_SENTENCES[_checked(fold, len(NEW_SENTENCES), protocol) - 1]
        for name, rows in splits.items():
            spoken = _column(rows, "sentence")
            splits[name] = rows.select([i for i, each in enumerate(spoken) if (each in tested) == (name == "test")])
    elif protocol in ("actor-5fold", "loso"):
        blocks = [[str(actor) for actor in block] for block in BLOCKS]
        if protocol == "loso":
            blocks = [[speaker] for speaker in sorted(set(_known_speakers(clips)))]
        fold = _checked(fold, len(blocks), protocol)
        splits = _by_speaker(clips, dev=blocks[fold % len(blocks)], test=blocks[fold - 1])
    else:
        raise ValueError(f"expected a protocol out of {', '.join(PROTOCOLS)}; got {protocol!r}")
    empty = [name for name, rows in splits.items() if not len(rows)]
    if empty:
        raise ValueError(
            f"the {protocol} protocol leaves no clips for {' and '.join(empty)}; "
            "add clips of more speakers, or use --protocol random"
        )
    if any(name.startswith(NAMELESS) for name in speakers_of(clips) or ()):
        splits = splits.remove_columns("speaker")  # an unknown speaker may be in several splits
    return splits


def drawn_from(clips: datasets.Dataset, protocol: str) -> str | None:
    """A digest of the clips that a random split is drawn from; None for protocols with a fixed list of actors.

    With other clips, or in another order, the same arguments give another split.
    """
    if protocol in ("tfds", "actor-5fold", "new-sentences"):
        return None
    speakers = speakers_of(clips)
    facts = sorted(set(speakers or ())) if protocol == "loso" else [clips["clip"][:], clips["label"][:], speakers]
    if protocol == "given":
        facts.append(clips["split"][:] if "split" in clips.column_names else None)
    if protocol == "speakers":
        facts.append("blocks in any order")  # older reports are of other splits
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def join_dev(splits: datasets.DatasetDict) -> datasets.DatasetDict:
    """Two splits: train, which includes dev, and test."""
    train = datasets.concatenate_datasets([splits["train"], splits["dev"]])
    return datasets.DatasetDict(train=train, test=splits["test"])


def _checked(fold: int | None, folds: int, protocol: str) -> int:
    if fold is None or not 1 <= fold <= folds:
        raise ValueError(f"expected --fold between 1 and {folds} with {protocol}; got {fold}")
    return fold


def fixed_share(clips: datasets.Dataset, share: float) -> datasets.Dataset:
    """The same share of the clips, drawn at random, in every run."""
    if not 0 < share <= 1:
        raise ValueError(f"expected --share_of_clips above 0 and at most 1; got {share}")
    if share == 1:
        return clips
    return clips.select(np.sort(np.random.default_rng(0).permutation(len(clips))[: round(share * len(clips))]))


def with_copies(clips: datasets.Dataset) -> datasets.Dataset:
    """Every clip twice, with 0 in the column `copy` for the original and 1 for its copy."""
    numbered = [clips.add_column("copy", [number] * len(clips)) for number in (0, 1)]
    return datasets.concatenate_datasets(numbered)


def speakers_of(clips: datasets.Dataset) -> list[str] | None:
    """The speaker of each clip, or None if they are unknown."""
    known = [column for column in SPEAKER_COLUMNS if column in clips.column_names]
    return [str(speaker) for speaker in clips[known[0]]] if known else None


def check_leakage(splits: datasets.DatasetDict) -> dict[str, dict[str, int]]:
    """How many speakers, clips and sentences each pair of splits shares; a valid pair shares sentences only.

    Args:
        splits: Any splits; of the columns actor or speaker, clip, and sentence or text, those that are there are used.

    Returns:
        For each pair of splits, usually "train and dev", "train and test" and "dev and test", counts of
        "speakers", "clips" and "sentences".
    """
    columns = {"speakers": SPEAKER_COLUMNS, "clips": ("clip",), "sentences": ("sentence", "text")}
    shared: dict[str, dict[str, int]] = {}
    for first, second in itertools.combinations(splits, 2):
        counts = shared.setdefault(f"{first} and {second}", {})
        for what, names in columns.items():
            for name in set(names) & set(splits[first].column_names):
                counts[what] = len(set(splits[first][name][:]) & set(splits[second][name][:]))
    return shared


def _column(clips: datasets.Dataset, name: str) -> Sequence:
    if name not in clips.column_names:
        raise ValueError(f"expected a column {name!r} to split by; got {clips.column_names}; use --protocol random")
    return clips[name][:]


def _known_speakers(clips: datasets.Dataset) -> list[str]:
    speakers = speakers_of(clips)
    if speakers is None:
        raise ValueError(
            f"expected a column out of {SPEAKER_COLUMNS} to split by; got {clips.column_names}; use --protocol random"
        )
    return speakers


def _by_speaker(clips: datasets.Dataset, *, dev: Sequence[str], test: Sequence[str]) -> datasets.DatasetDict:
    part_of = dict.fromkeys(dev, "dev") | dict.fromkeys(test, "test")
    indices: dict[str, list[int]] = {"train": [], "dev": [], "test": []}
    for index, speaker in enumerate(_known_speakers(clips)):
        indices[part_of.get(speaker, "train")].append(index)
    return datasets.DatasetDict({name: clips.select(chosen) for name, chosen in indices.items()})


def _by_any_speaker(clips: datasets.Dataset, split_seed: int) -> datasets.DatasetDict:
    """A tenth of the speakers each for dev and test (one each if there are few), stratified by label."""
    speakers = speakers_of(clips)
    if speakers is None:
        speakers = [str(index) for index in range(len(clips))]
    folds = min(10, len(set(speakers)))
    if folds < 3:
        raise ValueError(f"expected clips of at least 3 speakers to split by; got {folds}; use --protocol random")
    folding = StratifiedGroupKFold(folds, shuffle=True, random_state=split_seed)
    if max(Counter(clips["label"]).values()) < folds:
        raise ValueError(f"too few clips to split by speaker: add clips until some label has {folds}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # training warns of the split that lacks it
        blocks = [block.tolist() for _, block in folding.split(speakers, clips["label"][:], speakers)]
    np.random.default_rng(split_seed).shuffle(blocks)  # the largest speakers are always in the first of them
    splits = {"train": sorted(sum(blocks[2:], [])), "dev": blocks[1], "test": blocks[0]}
    return datasets.DatasetDict({name: clips.select(chosen) for name, chosen in splits.items()})


def _given(clips: datasets.Dataset, split_seed: int) -> datasets.DatasetDict:
    """The splits of the column `split`; a tenth of train becomes dev if there is no dev split."""
    if "split" not in clips.column_names:
        raise ValueError("the data brings no splits (train and test) of its own; use --protocol speakers")
    given = clips["split"][:]
    train, dev, test = (clips.select([i for i, role in enumerate(given) if role == name]) for name in ORDER)
    if not len(dev):
        speakers = speakers_of(train)
        by_speaker = speakers is None or len(set(speakers)) > 2
        drawn = _by_any_speaker(train, split_seed) if by_speaker else _random(train, split_seed, test=0.1, dev=0.0)
        dev = drawn["dev"]
        train = datasets.concatenate_datasets([drawn["train"], drawn["test"]]) if by_speaker else drawn["train"]
    return datasets.DatasetDict(train=train, dev=dev, test=test)


def _random(clips: datasets.Dataset, split_seed: int, *, test: float, dev: float) -> datasets.DatasetDict:
    """Random splits of the given shares; if dev has no share, it is the test split."""
    labels = clips["label"][:]
    try:
        rest, test_rows = train_test_split(range(len(clips)), test_size=test, stratify=labels, random_state=split_seed)
        train, dev_rows = rest, test_rows
        if dev:
            share, strata = dev / (1 - test), [labels[index] for index in rest]
            train, dev_rows = train_test_split(rest, test_size=share, stratify=strata, random_state=split_seed)
    except ValueError as error:
        raise ValueError(
            "too few clips for a stratified random split, which needs several of each label; add some"
        ) from error
    return datasets.DatasetDict(
        {name: clips.select(sorted(rows)) for name, rows in (("train", train), ("dev", dev_rows), ("test", test_rows))}
    )


__all__ = [
    "ACROSS_CORPORA",
    "BLOCKS",
    "LEAVE_ONE_CORPUS_OUT",
    "NEW_SENTENCES",
    "PER_CORPUS",
    "PROTOCOLS",
    "TFDS_DEV",
    "TFDS_TEST",
    "check_leakage",
    "drawn_from",
    "fixed_share",
    "join_dev",
    "speakers_of",
    "split",
    "with_copies",
]
