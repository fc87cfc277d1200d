"""The URDU dataset (Latif et al. 2018, arXiv:1812.10411): television talk; github.com/siddiquelatif/URDU-Dataset.

A clip is called `SPEAKER_FILE_NUMBER`, for example `SM1_F10_A010`: the letter before the last number is the emotion.
"""

import re

from ser.corpora.folder_corpus import Corpus
from ser.corpora.named_corpus import NamedCorpus


class Urdu(NamedCorpus):
    """URDU; it lacks disgust and fear, and the texts are not known."""

    TITLE = "URDU"
    EXAMPLE = "SM1_F10_A010.wav"
    CLIPS = 400
    CARD = Corpus(
        speech="the Urdu television talk of URDU",
        details="A hundred clips of each of four emotions, of 29 speakers by their names; some have music or noise "
        "behind the voice.",
        limits="Emotions as annotators named them in talk shows, Urdu.\nOther speakers, languages and kinds of speech "
        "are outside what it was trained on.",
        language="ur",
        licence="for research only, as its README says.",
        licence_id="other",
        citation="""@inproceedings{latif2018cross,
  title={Cross Lingual Speech Emotion Recognition: {Urdu} vs. {Western} Languages},
  author={Latif, Siddique and Qayyum, Adnan and Usman, Muhammad and Qadir, Junaid},
  booktitle={International Conference on Frontiers of Information Technology}, pages={88--93}, year={2018},
  doi={10.1109/FIT.2018.00023}
}""",
    )
    NAME = re.compile(r"(?P<speaker>S[MF]\d+)_F\d+_(?P<label>[AHNS])\d+")
    EMOTION_OF = {"a": "anger", "h": "happy", "n": "neutral", "s": "sad"}


__all__ = ["Urdu"]
