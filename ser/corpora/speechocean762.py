"""speechocean762 (Zhang et al. 2021, arXiv:2104.01378): English sentences read aloud; no emotion was asked for.

A clip of github.com/jimbozhang/speechocean762 is called by its speaker and a number, for example `000010011`.
It is ordinary speech, all of it neutral here, for calibration and evaluation. Networks trained on it together with
emotional speech learn to recognize its recordings instead of the emotion.
"""

import re

from ser.corpora.folder_corpus import Corpus
from ser.corpora.named_corpus import NamedCorpus


class SpeechOcean762(NamedCorpus):
    """speechocean762: neutral only."""

    TITLE = "speechocean762"
    EXAMPLE = "000010011.wav"
    CLIPS = 5000
    CARD = Corpus(
        speech="the ordinary English speech of speechocean762",
        details="Sentences read aloud on phones by 250 speakers of Mandarin, half of them children; nobody asked for "
        "an emotion, so all are taken for neutral.",
        language="en",
        licence="free for commercial and other use, as its README says.",
        licence_id="other",
        citation="""@inproceedings{zhang2021speechocean762,
  title={speechocean762: An Open-Source Non-native {English} Speech Corpus For Pronunciation Assessment},
  author={Zhang, Junbo and Zhang, Zhiwen and Wang, Yongqing and Yan, Zhiyong and Song, Qiong and Huang, Yukai and
    Li, Ke and Povey, Daniel and Wang, Yujun},
  booktitle={Interspeech}, pages={3710--3714}, year={2021}, doi={10.21437/Interspeech.2021-1259}
}""",
    )
    NAME = re.compile(r"(?P<label>0)(?P<speaker>\d{4})(?P<text>\d{4})")
    EMOTION_OF = {"0": "neutral"}


__all__ = ["SpeechOcean762"]
