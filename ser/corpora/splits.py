"""Protocols: which clips are for training, which for selection (dev) and which for the final figure (test)."""

import logging
from collections.abc import Sequence

import datasets
from sklearn.model_selection import train_test_split

logger = logging.getLogger(__name__)

PROTOCOLS = ("tfds", "actor-5fold", "random")
FOLDS = 5
TFDS_TEST = "1010 1013 1022 1026 1037 1038 1040 1045 1047 1048 1059 1065 1066 1068 1071 1073 1084 1086 1088".split()
TFDS_DEV = "1015 1020 1021 1030 1050 1070 1079 1089 1090".split()
TFDS_LEFT_OUT = {"1040_ITH_SAD_XX", "1006_TIE_NEU_XX", "1013_WSI_DIS_XX", "1017_IWW_FEA_XX"}
# The blocks of EMO-SUPERB (arXiv:2402.13018): 18 actors each, 19 in the last.
BLOCKS = [
    range(first, last + 1) for first, last in ((1001, 1018), (1019, 1036), (1037, 1054), (1055, 1072), (1073, 1091))
]


def split(
    clips: datasets.Dataset, protocol: str, *, fold: int | None = None, split_seed: int = 0
) -> datasets.DatasetDict:
    """Divide clips into the parts train, dev and test.

    Args:
        clips: Rows with label, and with actor and clip name for the protocols by actor.
        protocol: "tfds" (19 test and 9 dev actors, as TensorFlow Datasets and SERAB have them), "actor-5fold" (blocks
            of actors, the next block is dev) or "random" (80/10/10 stratified by label, actors on all sides, comparable
            with most class projects only).
        fold: 1 to 5, for "actor-5fold".
        split_seed: For "random".

    Raises:
        ValueError: The protocol is unknown, the fold is out of range, there are no actors, or a part has no clips.
    """
    if protocol == "random":
        parts = _random(clips, split_seed)
    elif protocol == "tfds":
        keep = [index for index, clip in enumerate(_column(clips, "clip")) if clip not in TFDS_LEFT_OUT]
        parts = _by_actor(clips.select(keep), dev=TFDS_DEV, test=TFDS_TEST)
    elif protocol == "actor-5fold":
        if fold not in range(1, FOLDS + 1):
            raise ValueError(f"expected --fold between 1 and {FOLDS} with actor-5fold; got {fold}")
        parts = _by_actor(clips, dev=[str(a) for a in BLOCKS[fold % FOLDS]], test=[str(a) for a in BLOCKS[fold - 1]])
    else:
        raise ValueError(f"expected a protocol out of {', '.join(PROTOCOLS)}; got {protocol!r}")
    empty = [name for name, part in parts.items() if not len(part)]
    if empty:
        raise ValueError(
            f"the {protocol} protocol leaves no clips for {' and '.join(empty)}; "
            "add clips of more actors, or use --protocol random"
        )
    return parts


def _column(clips: datasets.Dataset, name: str) -> Sequence:
    if name not in clips.column_names:
        raise ValueError(f"expected a column {name!r} to split by; got {clips.column_names}; use --protocol random")
    return clips[name][:]


def _by_actor(clips: datasets.Dataset, *, dev: Sequence[str], test: Sequence[str]) -> datasets.DatasetDict:
    part_of = dict.fromkeys(dev, "dev") | dict.fromkeys(test, "test")
    indices = {"train": [], "dev": [], "test": []}
    for index, actor in enumerate(_column(clips, "actor")):
        indices[part_of.get(actor, "train")].append(index)
    return datasets.DatasetDict({name: clips.select(chosen) for name, chosen in indices.items()})


def _random(clips: datasets.Dataset, split_seed: int) -> datasets.DatasetDict:
    labels = clips["label"][:]
    try:
        train, rest = train_test_split(range(len(clips)), test_size=0.2, stratify=labels, random_state=split_seed)
        dev, test = train_test_split(rest, test_size=0.5, stratify=[labels[i] for i in rest], random_state=split_seed)
    except ValueError as error:
        raise ValueError(f"too few clips for a stratified 80/10/10 split ({error}); add clips of each label") from error
    return datasets.DatasetDict(
        {name: clips.select(sorted(part)) for name, part in (("train", train), ("dev", dev), ("test", test))}
    )


__all__ = ["FOLDS", "PROTOCOLS", "split"]
