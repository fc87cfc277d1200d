"""Corpora as `datasets` and the protocols that split them."""

from ser.corpora.crema_d import load_crema_d
from ser.corpora.emodb import load_emodb
from ser.corpora.labelled_audio import load_labelled_audio
from ser.corpora.splits import split

__all__ = ["load_crema_d", "load_emodb", "load_labelled_audio", "split"]
