"""The Indian EmoSpeech Command Dataset (Banga et al. 2019, arXiv:1910.13801): single words, recorded on phones.

A clip of github.com/RakshakTeam/emospeech-dataset-v1 is called `word-surroundings-emotion-time-user`. Clips without a
word (`background`) or an emotion (`None`) are skipped.
"""

import re

from ser.corpora.folder_corpus import Corpus
from ser.corpora.named_corpus import NamedCorpus


class EmoSpeech(NamedCorpus):
    """EmoSpeech; it lacks disgust and sadness, and "calm" is neutral."""

    TITLE = "EmoSpeech"
    EXAMPLE = "help-safe-calm-20190729190552-d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f.wav"
    CLIPS = 6624
    CARD = Corpus(
        speech="the single words of EmoSpeech",
        details="Six Indian English and Hindi words and some others, of about a second each, recorded on phones; of "
        "4,601 clips it is not known who speaks (they count as one speaker), and 88 are there twice.",
        limits="Single words, Indian English and Hindi, phones.\nSentences and other languages are outside what it was "
        "trained on.",
        language="en",
        licence="CC BY-NC-SA 4.0.",
        licence_id="cc-by-nc-sa-4.0",
        citation="""@misc{banga2019indian,
  title={Indian {EmoSpeech} Command Dataset: A dataset for emotion based speech recognition in the wild},
  author={Banga, Subham and Upadhyay, Ujjwal and Agarwal, Piyush and Sharma, Aniket and Mukherjee, Prerana},
  year={2019}, eprint={1910.13801}, archivePrefix={arXiv}
}""",
    )
    NAME = re.compile(
        r"(?P<text>help|bacho|stop|no|go|yes|unknown)-[a-z ]+-(?P<label>calm|angry|fearful|happy)-[^-]+-"
        r"(?P<speaker>[0-9a-f]{12})[0-9a-f]{44}",
        re.IGNORECASE,
    )
    EMOTION_OF = {"angry": "anger", "calm": "neutral", "fearful": "fear", "happy": "happy"}


__all__ = ["EmoSpeech"]
