"""The card of a corpus on the Hub."""

from collections import Counter

import datasets
from huggingface_hub import DatasetCardData

from ser.corpora import with_title
from ser.corpora.folder_corpus import Corpus
from ser.corpora.splits import speakers_of
from ser.plural import counted
from ser.reporting.model_card import in_markdown

MEANINGS = {
    "audio": "the clip",
    "clip": "its name in the corpus",
    "duration": "seconds",
    "problem": "why the clip is unfit for use: silent, undecodable, or a copy with another label; empty if fit",
    "split": "the split of the data that it is from",
    "label": "the intended emotion",
    "actor": "who speaks",
    "speaker": "who speaks",
    "sentence": "which sentence",
    "text": "which sentence",
    "version": "which take",
    "level": "intended intensity: LO, MD, HI, or XX for unspecified",
    "age": "of the speaker, in years",
    "sex": "of the speaker",
    "race": "of the speaker, in the words of the corpus",
    "ethnicity": "of the speaker, in the words of the corpus",
}
TEMPLATE = """---
{metadata}
---

# {name}

{clips} of {about}{speakers}, as parquet files with the audio in them.

| emotion | clips |
|---|---|
{labels}

| column | meaning |
|---|---|
{columns}

```python
from datasets import load_dataset

clips = load_dataset("{repo_id}", split="train")  # one split: divide it yourself, by speaker
```

The only split is `train`: `python train.py --recipe cnn2d --dataset_name {repo_id}` of the project `ser` divides it
into training, dev and test sets{apart}.{problems}

## Licence and citation

{licence}

{citation}
"""


def render_dataset_card(clips: datasets.Dataset, title: str | None, repo_id: str) -> str:
    """The card, as the text of its README.md.

    Args:
        clips: What is published.
        title: Name of a known corpus; None for any other.
        repo_id: Where it is published.
    """
    name = repo_id.split("/")[-1]
    known = with_title(title)
    corpus = known.CARD if known else Corpus(speech="speech with emotion labels")
    data = DatasetCardData(
        language=corpus.language,
        license=corpus.licence_id,
        task_categories=["audio-classification"],
        tags=["speech-emotion-recognition", "audio"],
        pretty_name=title or name,
    )
    speakers, names = speakers_of(clips), clips.features["label"].names
    counts = Counter(clips["label"][:])
    return TEMPLATE.format(
        metadata=data.to_yaml(),
        name=title or name,
        clips=counted(len(clips), "clip"),
        about=corpus.speech,
        speakers=f" by {counted(len(set(speakers)), 'speaker')}" if speakers else "; who speaks is not known",
        labels="\n".join(f"| {in_markdown(label)} | {counts[index]:,} |" for index, label in enumerate(names)),
        columns="\n".join(f"| `{column}` | {_meaning(column)} |" for column in clips.column_names),
        repo_id=repo_id,
        apart=", with each speaker in one of them" if speakers else "",
        problems=" Rows with a `problem` should be left out." if "problem" in clips.column_names else "",
        licence=f"{title}: {corpus.licence}" if known else "Not stated.",
        citation=f"```bibtex\n{corpus.citation}\n```" if corpus.citation else "",
    )


def _meaning(column: str) -> str:
    if column.startswith("votes_"):
        return f"how many listeners of the audio alone chose {column.removeprefix('votes_')}"
    return MEANINGS[column]


__all__ = ["render_dataset_card"]
