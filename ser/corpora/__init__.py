"""Corpora as `datasets` and the protocols that split them."""

from ser.corpora.crema_d import CremaD
from ser.corpora.crema_d import load_crema_d
from ser.corpora.emodb import EmoDB
from ser.corpora.emodb import load_emodb
from ser.corpora.labelled_audio import load_labelled_audio

CORPORA = {"crema-d": CremaD, "emodb": EmoDB}

__all__ = ["CORPORA", "load_crema_d", "load_emodb", "load_labelled_audio"]
