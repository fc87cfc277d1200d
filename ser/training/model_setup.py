"""The feature extractor and the network of a run: those of its recipe, or of a trained model to fine-tune."""

import json
import logging
from typing import NamedTuple
from typing import cast

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoModelForAudioClassification

from ser.inference.loading import NOT_CALIBRATED
from ser.inference.loading import check_own
from ser.inference.loading import labels_of
from ser.inference.loading import load_trained
from ser.models.configuration_ser import SERConfig
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.models.modeling_ser import CNNForAudioClassification
from ser.recipes import Recipe
from ser.reporting.report_file import Report
from ser.reporting.report_file import report_of
from ser.training.arguments import ModelArguments

logger = logging.getLogger(__name__)


def new_front_end(recipe: Recipe, options: ModelArguments) -> tuple[SERFeatureExtractor, dict]:
    """The recipe's feature extractor with the requested overrides, and the fields that inference overrides."""
    _refuse_unknown("model", overrides_of(options.model, "model"), recipe.config_class())
    asked = overrides_of(options.feature_extractor, "feature_extractor")
    overrides = {name: value for name, value in recipe.inference_overrides.items() if name not in asked}
    return build_extractor(recipe, asked), overrides


def build_extractor(recipe: Recipe, overrides: dict) -> SERFeatureExtractor:
    """The recipe's feature extractor."""
    _refuse_unknown("feature_extractor", overrides, SERFeatureExtractor())
    return extractor_with(recipe.feature_extractor | overrides)


def extractor_with(settings: dict) -> SERFeatureExtractor:
    """The feature extractor with these settings, part of which `--feature_extractor` gave."""
    try:
        return SERFeatureExtractor(**settings)
    except ValueError as error:
        raise ValueError(f"--feature_extractor: {error}") from error


def build_model(
    recipe: Recipe, overrides: dict, extractor: SERFeatureExtractor, labels: list[str]
) -> CNNForAudioClassification:
    """The recipe's network for this feature extractor and these labels."""
    fields = recipe.model | overrides | {"n_features": extractor.feature_size, "id2label": dict(enumerate(labels))}
    try:
        config = recipe.config_class(**fields)
    except (StrictDataclassError, ValueError) as error:
        raise ValueError(f"--model does not describe a network: {error.__cause__ or error}") from error
    return AutoModelForAudioClassification.from_config(config).to(memory_format=torch.channels_last)


def overrides_of(text: str, name: str) -> dict:
    """The fields that the option `--name` gives as JSON; raises `ValueError` if it does not."""
    try:
        overrides = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"""expected --{name} as JSON, like '{{"name": 1}}'; got {text!r} ({error})""") from error
    if not isinstance(overrides, dict):
        raise ValueError(f"expected --{name} as a JSON object; got {text!r}")
    return overrides


def _refuse_unknown(option: str, overrides: dict, example: SERFeatureExtractor | SERConfig) -> None:
    known = example.to_dict().keys()
    if overrides.keys() - known:
        raise ValueError(
            f"--{option} has unknown fields {sorted(overrides.keys() - known)}; "
            f"expected fields of {type(example).__name__}: {', '.join(sorted(known))}"
        )


class Start(NamedTuple):
    """A trained model to fine-tune: its origin, feature extractor, network and, if there is one, report."""

    source: str
    extractor: SERFeatureExtractor
    model: CNNForAudioClassification
    report: Report | None


def load_start(options: ModelArguments) -> Start:
    """The model that `--model_name_or_path` names, with the changes to its feature extractor.

    Raises:
        ValueError: There is no such model of this project, or `--model` or `--feature_extractor` does not fit it.
    """
    source = cast(str, options.model_name_or_path)  # only called if it is given
    if options.model != "{}":
        raise ValueError("--model describes a new network; leave it out to start from a trained model")
    try:
        model, extractor = load_trained(source)
        check_own(model, extractor, source)
        report = report_of(source)
    except ValueError as error:
        raise ValueError(f"--model_name_or_path: {error}") from error
    model.config.update(NOT_CALIBRATED)  # it was fitted to the old weights
    return Start(source, changed_front_end(extractor, options), model, report)


def changed_front_end(extractor: SERFeatureExtractor, options: ModelArguments) -> SERFeatureExtractor:
    """A trained model's feature extractor with the requested overrides; refuses those that change its columns."""
    overrides = overrides_of(options.feature_extractor, "feature_extractor")
    _refuse_unknown("feature_extractor", overrides, extractor)
    for name in ("features", "n_mels", "statistics", "join"):
        if overrides.get(name, own := getattr(extractor, name)) != own:
            raise ValueError(f"--feature_extractor: the trained model needs its own {name}, {own!r}; leave it out")
    changed = extractor_with(extractor.to_dict() | overrides)
    if changed.normalization == "corpus" and (changed.mean is None or changed.std is None):
        raise ValueError("--feature_extractor: normalization 'corpus' here needs a mean and std; give both")
    return changed


def as_trained(extractor: SERFeatureExtractor, recipe: Recipe) -> tuple[SERFeatureExtractor, dict]:
    """A trained model's feature extractor with the recipe's training settings, and the fields that inference overrides.

    A feature extractor without the recipe's overrides stays as it is, in training and in inference.
    """
    settings = extractor.to_dict()
    if any(settings[name] != value for name, value in recipe.inference_overrides.items()):
        return extractor, {}
    trained_with = SERFeatureExtractor(**recipe.feature_extractor).to_dict()
    settings |= {name: trained_with[name] for name in recipe.inference_overrides}
    return SERFeatureExtractor.from_dict(settings), dict(recipe.inference_overrides)


def replace_head(model: CNNForAudioClassification, labels: list[str]) -> CNNForAudioClassification:
    """The model, with a new output layer if the labels are not its own."""
    old = labels_of(model)
    if sorted(old) == sorted(labels):
        order = [old.index(label) for label in labels]
        model.classifier.weight.data = model.classifier.weight.data[order]
        model.classifier.bias.data = model.classifier.bias.data[order]
    else:
        logger.warning("new output layer: the model knew %s, the clips have %s", ", ".join(old), ", ".join(labels))
        model.classifier = torch.nn.Linear(model.classifier.in_features, len(labels))
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: index for index, label in enumerate(labels)}
    return model


__all__ = [
    "Start",
    "as_trained",
    "build_extractor",
    "build_model",
    "load_start",
    "new_front_end",
    "overrides_of",
    "replace_head",
]
