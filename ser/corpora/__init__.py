"""Corpora as `datasets` and the protocols that split them."""

from pathlib import Path

import datasets

from ser.corpora.ased import Ased
from ser.corpora.crema_d import CremaD
from ser.corpora.crema_d import load_crema_d
from ser.corpora.emodb import EmoDB
from ser.corpora.emospeech import EmoSpeech
from ser.corpora.folder_corpus import FolderCorpus
from ser.corpora.labelled_audio import load_labelled_audio
from ser.corpora.nemo import Nemo
from ser.corpora.speechocean762 import SpeechOcean762
from ser.corpora.urdu import Urdu

CORPORA: dict[str, type[FolderCorpus]] = {
    "crema-d": CremaD,
    "emodb": EmoDB,
    "nemo": Nemo,
    "urdu": Urdu,
    "ased": Ased,
    "emospeech": EmoSpeech,
    "speechocean762": SpeechOcean762,
}


def title_of(source: str) -> str:
    """The name of a corpus, a folder with clips or a dataset on the Hub in reports and cards.

    Example:
        >>> title_of("emodb"), title_of("user/crema-d"), title_of("data/my-clips/")
        ('EmoDB', 'CREMA-D', 'my-clips')
    """
    name = Path(source).resolve().name
    return CORPORA[name.lower()].TITLE if name.lower() in CORPORA else name


def with_title(title: str | None) -> type[FolderCorpus] | None:
    """The known corpus with this title, if there is one."""
    return next((corpus for corpus in CORPORA.values() if corpus.TITLE == title), None)


def corpus_of(clips: datasets.Dataset, title: str) -> str:
    """The corpus of these clips: CREMA-D if all have its official names, whatever their folder is called."""
    return CremaD.TITLE if "actor" in clips.column_names else title


def corpora_within(clips: datasets.Dataset) -> list[str]:
    """The known corpora that some of these clips belong to, by their official names."""
    names = {form for name in clips["clip"] for form in (name, name.rpartition("-")[0])}  # duplicates end in a number
    return [corpus.TITLE for corpus in CORPORA.values() if any(map(corpus.is_official, names))]


__all__ = ["CORPORA", "corpora_within", "corpus_of", "load_crema_d", "load_labelled_audio", "title_of", "with_title"]
