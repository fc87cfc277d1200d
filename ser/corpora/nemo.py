"""nEMO (Christop 2024, arXiv:2404.06292): nine actors, 90 Polish sentences; github.com/amu-cai/nEMO.

A clip is called `SPEAKER_emotion_SENTENCE`, for example `EB0_anger_1`. Its clips of surprise are left out.
"""

import re

from ser.corpora.folder_corpus import Corpus
from ser.corpora.named_corpus import NamedCorpus


class Nemo(NamedCorpus):
    """nEMO; it lacks disgust."""

    TITLE = "nEMO"
    EXAMPLE = "EB0_anger_1.wav"
    CLIPS = 3812  # without the 669 of surprise
    CARD = Corpus(
        speech="the acted Polish speech of nEMO",
        details="Ninety sentences, spoken by nine actors; without the clips of surprise.",
        limits="Acted emotions of nine actors, Polish.\nOther speakers, languages and spontaneous speech are outside "
        "what it was trained on.",
        language="pl",
        licence="CC BY-NC-SA 4.0.",
        licence_id="cc-by-nc-sa-4.0",
        citation="""@inproceedings{christop2024nemo,
  title={{nEMO}: Dataset of Emotional Speech in {Polish}},
  author={Christop, Iwona},
  booktitle={LREC-COLING}, pages={12111--12116}, year={2024}, url={https://aclanthology.org/2024.lrec-main.1059}
}""",
    )
    NAME = re.compile(r"(?P<speaker>[A-Z]{2}\d)_(?P<label>[a-z]+)_(?P<text>\d+)")
    EMOTION_OF = {"anger": "anger", "fear": "fear", "happiness": "happy", "neutral": "neutral", "sadness": "sad"}


__all__ = ["Nemo"]
