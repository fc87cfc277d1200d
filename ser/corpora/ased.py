"""ASED, the Amharic Speech Emotion Dataset (Retta et al. 2023, doi:10.1145/3529759); github.com/wgwangang/ASED_V1.

A clip is called `eN-SENTENCE-REPETITION-GENDER-SPEAKER`, for example `n1-01-01-01-01`: the first letter is the emotion.
"""

import re

from ser.corpora.folder_corpus import Corpus
from ser.corpora.named_corpus import NamedCorpus


class Ased(NamedCorpus):
    """ASED; it lacks disgust. The text is sentence number and emotion, as most sentences have only one."""

    TITLE = "ASED"
    EXAMPLE = "n1-01-01-01-01.wav"
    CLIPS = 2474
    CARD = Corpus(
        speech="the acted Amharic speech of ASED",
        details="65 speakers; most sentences are spoken in one emotion only, so that the words give the emotion away.",
        limits="Acted emotions, Amharic, sentences that give the emotion away.\nOther speakers, languages, texts and "
        "spontaneous speech are outside what it was trained on.",
        language="am",
        licence="none is stated: for measuring only, not for models that are published.",
        citation="""@article{retta2023new,
  title={A New {Amharic} Speech Emotion Dataset and Classification Benchmark},
  author={Retta, Ephrem Afele and Almekhlafi, Eiad and Sutcliffe, Richard and Mhamed, Mustafa and Ali, Haider and
    Feng, Jun},
  journal={ACM Transactions on Asian and Low-Resource Language Information Processing},
  volume={22}, number={1}, year={2023}, doi={10.1145/3529759}
}""",
    )
    NAME = re.compile(r"(?P<text>(?P<label>[nfhsa])[1-5]-\d\d)-\d\d-\d\d-(?P<speaker>\d\d)", re.IGNORECASE)
    EMOTION_OF = {"n": "neutral", "f": "fear", "h": "happy", "s": "sad", "a": "anger"}


__all__ = ["Ased"]
