"""Cards of corpora that are known and of clips that are not."""

import datasets
import pytest
from conftest import write_corpus
from huggingface_hub import DatasetCard

from ser.corpora import CORPORA
from ser.corpora import load_labelled_audio
from ser.hub.dataset_card import render_dataset_card


def test_a_known_corpus_is_introduced_with_licence_and_citation(tmp_path):
    write_corpus(tmp_path / "wav", ["03a01Fa", "03a01Wa", "08a01Na"])
    clips = CORPORA["emodb"].table(tmp_path / "wav", cache_dir=tmp_path / "cache")
    card = render_dataset_card(clips, "EmoDB", "user/berlin")
    data = DatasetCard(card).data
    assert (data.license, data.language, data.pretty_name) == ("cc0-1.0", "de", "EmoDB")
    assert "3 clips of the acted German speech of EmoDB by 2 speakers" in card
    assert "| boredom | 0 |" in card and "| happiness | 1 |" in card
    assert "burkhardt2005database" in card and 'load_dataset("user/berlin"' in card
    for column in clips.column_names:
        assert f"| `{column}` | " in card


@pytest.mark.parametrize("speakers", [True, False])
def test_clips_of_ones_own_claim_nothing_that_is_not_known(tmp_path, speakers):
    write_corpus(tmp_path / "calm", ["a", "b"])
    write_corpus(tmp_path / "cross", ["c"])
    clips = load_labelled_audio(str(tmp_path))
    if speakers:
        clips = datasets.concatenate_datasets([clips, datasets.Dataset.from_dict({"speaker": ["x", "x", "y"]})], axis=1)
    card = render_dataset_card(clips, None, "user/mine")
    assert DatasetCard(card).data.license is None and "CREMA-D" not in card and "bibtex" not in card
    assert "3 clips of speech with emotion labels" + (" by 2 speakers" if speakers else "; who speaks is not") in card
    assert "| calm | 2 |" in card
