"""Publish on the Hugging Face Hub: a trained model, a corpus as parquet, the page as a Space.

python -m ser push model runs/cnn2d/tfds/seed-0/model user/ser-cnn2d
python -m ser push dataset data/crema-d user/crema-d --corpus crema-d
python -m ser push space user/emotion-in-speech --model user/ser-cnn2d
After a failure, run the same command again: uploaded files are not sent twice.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
from huggingface_hub import CommitOperationAdd
from huggingface_hub import CommitOperationDelete
from huggingface_hub import DatasetCard
from huggingface_hub import HfApi
from huggingface_hub import SpaceCard

from ser.corpora import CORPORA
from ser.corpora import load_labelled_audio
from ser.corpora.folder_corpus import some
from ser.files import PACKAGE
from ser.files import PROJECT
from ser.files import check_clone
from ser.hub.access import check_card
from ser.hub.access import check_token
from ser.hub.access import claim_repository
from ser.hub.access import explained
from ser.hub.dataset_card import render_dataset_card
from ser.inference.loading import load_trained
from ser.plural import counted
from ser.reporting.report_file import MEASURED
from ser.reporting.report_file import REPORT
from ser.reporting.report_file import bundled_models

STOPPED = "run the same command again to continue; uploaded files are not sent twice"
WHOLE = ("config.json", "preprocessor_config.json", "model.safetensors", "README.md")  # all are required
PUBLIC = (".json", ".safetensors", ".py", ".md", ".png")  # no pickle, no optimizer state
PAGE = (*PUBLIC, ".ogg", ".css", ".js")  # what the Space needs of its folders
LOCAL = ("trainer_state.json", "live_weights.safetensors")  # of a checkpoint
PICTURES = ("curves", "reliability", "confusion", "confusion_normalized", "listeners", "strangers")
OF_THE_WEIGHTS = {REPORT, *MEASURED.values(), *(f"{name}.png" for name in PICTURES)}  # wrong for any other weights
SPACE = ("app.py", "README.md", "results/page.png", "results/page-phone.png")
# The packages of requirements.txt that the page needs: a Space that installs only these starts sooner.
SPACE_PACKAGES = {
    *("torch", "transformers", "huggingface_hub", "safetensors", "gradio", "numpy", "librosa", "soundfile", "soxr"),
    *("matplotlib", "silero-vad", "onnxruntime"),
}
CPU_INDEX = "--extra-index-url https://download.pytorch.org/whl/cpu"
PLACEHOLDER = "PATH_OR_ID"  # stands for the model in its card


def push_model(folder: str | Path, repo_id: str, *, token: str | None = None, revision: str | None = None) -> str:
    """Push a model folder that `train.py` wrote, in one commit that deletes the scores of an earlier model there.

    Args:
        folder: Holds weights, configuration, code, card, report pictures and results.
        repo_id: "user/name"; created if it is not there.
        token: With write access; default: the one of `hf auth login` or HF_TOKEN.
        revision: The branch; default: main.

    Returns:
        Address of the commit.

    Raises:
        ValueError: `folder` is not a complete model folder, a file in it is damaged, or `repo_id` not a valid name.
        ConnectionError: The Hub cannot be reached or refuses.
    """
    folder = Path(folder)
    absent = [name for name in WHOLE if not (folder / name).is_file()]
    if absent:
        raise ValueError(f"expected a model folder written by train.py at {str(folder)!r}; it has no {absent[0]}")
    load_trained(str(folder))  # refuses damaged files
    repo_id = claim_repository(repo_id, token=token, branch=revision)
    card = (folder / "README.md").read_text(encoding="utf-8").replace(PLACEHOLDER, repo_id)
    check_card(card)
    with explained(f"pushing {folder} to {repo_id}"):
        return commit_model(folder, repo_id, card, "Upload model", token=token, revision=revision)


def commit_model(
    folder: Path,
    repo_id: str,
    card: str,
    message: str,
    *,
    token: str | None = None,
    revision: str | None = None,
    **options: Any,
) -> Any:
    """Commit the public files of a model folder or checkpoint, as they are now; see `HfApi.create_commit`.

    Scores of an earlier model in the repository are deleted.
    """
    api = HfApi(token=token)
    paths = [path for path in sorted(folder.iterdir()) if path.suffix in PUBLIC and path.name not in LOCAL]
    files = {path.name: path.read_bytes() for path in paths} | {"README.md": card.encode()}

    def operations() -> Iterator[CommitOperationAdd | CommitOperationDelete]:
        for name, content in files.items():
            yield CommitOperationAdd(name, content)
        for entry in api.list_repo_tree(repo_id, revision=revision):  # in the background, if the commit is made there
            if entry.path in OF_THE_WEIGHTS - files.keys():
                yield CommitOperationDelete(entry.path)

    return api.create_commit(repo_id, operations(), commit_message=message, revision=revision, **options)


def push_dataset(folder: str, repo_id: str, *, corpus: str | None = None, token: str | None = None) -> str:
    """Push a corpus as parquet files with the audio in them, all its columns, and a card.

    Args:
        folder: The corpus as its authors distribute it, or clips with labels (see `load_labelled_audio`).
        repo_id: "user/name"; created if it is not there.
        corpus: Name of one of `CORPORA`; None for clips with labels.
        token: As in `push_model`.

    Returns:
        Address of the dataset.

    Raises:
        ValueError: There are no such clips, or some lie outside of the folder.
        ConnectionError: The Hub cannot be reached or refuses.
    """
    if not Path(folder).is_dir():
        raise ValueError(f"expected a folder with clips at {folder!r}; check the path")
    check_token(token)
    clips = CORPORA[corpus].table(folder) if corpus else load_labelled_audio(folder)
    refuse_outside(clips, folder)
    repo_id = claim_repository(repo_id, kind="dataset", token=token)
    card = render_dataset_card(clips, corpus and CORPORA[corpus].TITLE, repo_id)
    clips = clips.cast_column("audio", datasets.Audio())  # so that `load_dataset` decodes it
    with explained(f"pushing {folder} to {repo_id}"):
        DatasetCard(card).push_to_hub(repo_id, token=token)
        clips.push_to_hub(repo_id, split="train", token=token)
    return HfApi().endpoint + f"/datasets/{repo_id}"


def refuse_outside(clips: datasets.Dataset, folder: str) -> None:
    """Refuse to publish files that belong to the folder only through a link or a table.

    Raises:
        ValueError: Some clips lie outside.
    """
    root = Path(folder).expanduser().resolve()
    files = [audio["path"] for audio in clips["audio"] if not audio["bytes"]]
    outside = [path for path in files if not Path(path).resolve().is_relative_to(root)]
    if outside:
        raise ValueError(
            f"{counted(len(outside), 'clip')} outside of {folder!r} ({some(outside)}) would be published, because of "
            "links or a table; copy those that you want to publish into the folder"
        )


def push_space(repo_id: str, *, models: list[str] | None = None, token: str | None = None) -> str:
    """Push the page, the package and the bundled models as a Gradio Space.

    Args:
        repo_id: "user/name"; created if it is not there.
        models: Ids of models on the Hub that the page offers instead of the bundled ones.
        token: As in `push_model`.

    Returns:
        Address of the Space.

    Raises:
        ConnectionError: The Hub cannot be reached or refuses.
        ValueError: The package is not in a clone of the project, or a model has no report.
    """
    paths = [PROJECT / name for name in SPACE]
    folders = [PACKAGE, *bundled_models(PROJECT)]
    paths += [path for folder in folders for path in folder.rglob("*") if path.suffix in PAGE]
    check_clone()
    api = HfApi(token=token)
    with explained("looking for the models"):
        absent = [name for name in models or () if not api.file_exists(name, REPORT)]
    if absent:
        raise ValueError(f"expected trained models with their {REPORT} on the Hub; {absent[0]!r} has none")
    repo_id = claim_repository(repo_id, kind="space", token=token, space_sdk="gradio")
    card = SpaceCard((PROJECT / "README.md").read_text(encoding="utf-8"))
    if models:
        card.data["models"] = models
    files = {path.relative_to(PROJECT).as_posix(): path.read_bytes() for path in sorted(paths)}
    files |= {"README.md": str(card).encode(), "requirements.txt": space_requirements().encode()}
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    with explained(f"pushing the page to {repo_id}"):
        if models:
            api.add_space_variable(repo_id, "SER_MODELS", ",".join(models))
        elif "SER_MODELS" in api.get_space_variables(repo_id):  # of an earlier push
            api.delete_space_variable(repo_id, "SER_MODELS")
        api.create_commit(repo_id, operations, commit_message="Upload page", repo_type="space")
    return f"{api.endpoint}/spaces/{repo_id}"


def space_requirements() -> str:
    """The requirements.txt of a Space: the CPU build of torch and the other packages of the page, at our versions."""
    pins = (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [pin for pin in pins if pin.partition("==")[0] in SPACE_PACKAGES]
    return "\n".join([CPU_INDEX, *(f"{pin}+cpu" if pin.startswith("torch==") else pin for pin in wanted), ""])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    kinds = parser.add_subparsers(dest="kind", required=True)
    model = kinds.add_parser("model", help="a trained model")
    dataset = kinds.add_parser("dataset", help="a corpus, or your own labelled clips, as parquet")
    space = kinds.add_parser("space", help="the page, as a Gradio Space")
    model.add_argument("folder", help="model folder that train.py wrote")
    model.add_argument("--revision", help="branch to push to (default: main)")
    dataset.add_argument("folder", help="folder with the clips")
    dataset.add_argument(
        "--corpus", choices=list(CORPORA), help="which corpus it is (default: your own labelled clips)"
    )
    for command in (model, dataset, space):
        command.add_argument("repo_id", help="repository on the Hub, as user/name; created if it does not exist")
    space.add_argument(
        "--model",
        action="append",
        help="id of a model on the Hub that the page offers; repeat it for more (default: the bundled models)",
    )


def run(options: argparse.Namespace) -> None:
    """Push, and print the address."""
    if options.kind == "model":
        print(push_model(options.folder, options.repo_id, revision=options.revision))
    elif options.kind == "dataset":
        print(push_dataset(options.folder, options.repo_id, corpus=options.corpus))
    else:
        print(push_space(options.repo_id, models=options.model))


__all__ = ["STOPPED", "add_arguments", "commit_model", "push_dataset", "push_model", "push_space", "run"]
