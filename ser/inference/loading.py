"""Loading a trained model and its feature extractor, which must match; code that comes with them is not run."""

from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.errors import RevisionNotFoundError
from transformers import AutoFeatureExtractor
from transformers import AutoModelForAudioClassification

from ser.files import check_revision
from ser.files import read_json
from ser.models.configuration_ser import SERConfig
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.models.pipeline_ser import check_fits
from ser.reporting.report_file import REPORT
from ser.reporting.report_file import Report
from ser.reporting.report_file import report_of

PATIENCE = 10.0  # seconds to wait for the Hub's answer
NOT_CALIBRATED = {"calibration_temperature": 1.0} | dict.fromkeys(
    ("calibration_bias", "certain_threshold", "ordinary_voice")
)
STRANGE = "model_type in its config.json or feature_extractor_type in its preprocessor_config.json is not known here"


def load_trained(name: str, revision: str | None = None) -> tuple[Any, Any]:
    """A `PreTrainedModel` for audio classification, in evaluation mode, and its `SequenceFeatureExtractor`.

    Args:
        name: A model folder, or an id on the Hub.
        revision: Commit, tag or branch there.

    Raises:
        ValueError: There is no such model, it is damaged, its classifier was never trained, or a folder was given with
            a revision; one sentence says which.
    """
    check_revision(name, revision)
    options: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    try:
        options["local_files_only"] = not is_reachable(name, revision)
        check_settings(Path(name))
        extractor = AutoFeatureExtractor.from_pretrained(name, **options)
        model, found = AutoModelForAudioClassification.from_pretrained(
            name, use_safetensors=True, output_loading_info=True, **options
        )
        if isinstance(model.config, SERConfig):
            check_fits(model, extractor)
    except Exception as error:  # transformers trips over damaged files in many ways
        reason = STRANGE if "custom code" in str(error) else str(error).strip().partition("\n")[0]
        raise ValueError(f"expected a model folder or Hub id; {name!r} is neither: {reason}") from error
    if model.config.problem_type not in (None, "single_label_classification") or model.config.num_labels < 2:
        raise ValueError(
            f"model {name!r} does not choose one label out of several, so its scores are not probabilities"
        )
    if found["missing_keys"]:
        raise ValueError(f"model {name!r} was never trained: it lacks {', '.join(sorted(found['missing_keys']))}")
    return model, extractor


def is_reachable(name: str, revision: str | None) -> bool:
    """Whether a model can be fetched from the Hub; False if it is cached: transformers would ask a dozen times.

    Raises:
        ValueError: There is no such model.
    """
    if Path(name).is_dir():
        return False
    try:
        HfApi().model_info(name, revision=revision, timeout=PATIENCE)
    except HFValidationError as error:
        raise ValueError("there is no such folder") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        what = "no such revision of it" if isinstance(error, RevisionNotFoundError) else "no such model"
        raise ValueError(
            f"there is no such folder, and {what} on the Hub (private models need `hf auth login`)"
        ) from error
    except (httpx2.TransportError, ConnectionError) as error:  # the latter in offline mode
        if not isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str):
            raise ValueError(
                "there is no such folder, the Hub cannot be reached, and no copy is in its cache; name a model folder, "
                "or run this once while online"
            ) from error
        return False
    return True


def check_own(model: Any, extractor: Any, name: str) -> None:
    """Raise `ValueError` if `load_trained` returned a model that is not of this project."""
    if not isinstance(extractor, SERFeatureExtractor):
        raise ValueError(f"expected a model of this project at {name!r}; got {type(model).__name__}")


def load_reported(folder: str) -> tuple[Any, Any, Report]:
    """A model folder of this project with the report of its training: model, feature extractor, `results.json`.

    The model has the calibration of its report, fitted on its own corpus, even after `ser calibrate`.

    Raises:
        ValueError: It is not such a folder, or it is damaged.
    """
    report = report_of(folder) if Path(folder).is_dir() else None
    if report is None:
        raise ValueError(f"expected a model folder with its {REPORT}; got {folder!r}")
    model, extractor = load_trained(folder)
    check_own(model, extractor, folder)
    temperature = report.get("temperature", model.config.calibration_temperature)  # older reports lack it
    model.config.update(NOT_CALIBRATED | {"calibration_temperature": temperature})
    return model, extractor, report


def labels_of(model: Any) -> list[str]:
    """Names of a model's classes, in the order of the logits."""
    names = model.config.id2label  # keys are numbers once it is loaded
    return [names[index] for index in range(len(names))]


def check_settings(folder: Path) -> None:
    """Refuse a folder without the settings of a feature extractor, or with settings that are not a JSON object.

    Raises:
        ValueError: Names the file.
    """
    if folder.is_dir() and not any(
        (folder / f"{name}_config.json").is_file() for name in ("preprocessor", "processor")
    ):
        raise ValueError("it has no preprocessor_config.json; take all files of the model")
    for path in (folder / "config.json", folder / "preprocessor_config.json"):
        try:
            whole = not path.is_file() or isinstance(read_json(path), dict)
        except (ValueError, RecursionError):
            whole = False
        if not whole:
            raise ValueError(f"{path.name} is not a JSON object; take the whole file as it was saved")


__all__ = ["NOT_CALIBRATED", "check_own", "labels_of", "load_reported", "load_trained"]
