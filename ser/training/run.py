"""From a prepared run to a model folder and a report."""

import functools
import json
import logging
import platform
import shlex
from concurrent.futures import Future
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import cast

import datasets
import numpy as np
import torch
from transformers import PreTrainedModel
from transformers import TrainerCallback
from transformers import TrainerState

from ser.corpora.clip_dataset import ClipDataset
from ser.corpora.clip_dataset import with_features
from ser.corpora.several_corpora import known_labels
from ser.corpora.several_corpora import sampling_weights
from ser.corpora.splits import check_leakage
from ser.evaluation.scores import describe_by_corpus
from ser.evaluation.scores import describe_split
from ser.evaluation.scores import listeners_votes
from ser.evaluation.scores import predict_logits
from ser.evaluation.scores import report_on_test
from ser.evaluation.scores import score
from ser.evaluation.temperature_scaling import fit_temperature
from ser.evaluation.temperature_scaling import reliability
from ser.files import write_text
from ser.hub.push import commit_model
from ser.hub.push import push_model
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.reporting.model_card import unfinished_card
from ser.reporting.report_file import Report
from ser.reporting.run_report import write_report
from ser.training.arguments import on_the_hub
from ser.training.augmentation import FeatureAugmentation
from ser.training.augmentation import FeatureMasking
from ser.training.augmentation import soft_targets
from ser.training.cpu_memory import keep_freed_memory
from ser.training.cpu_memory import peak_memory
from ser.training.distillation import teacher_probabilities
from ser.training.run_identity import RUN_FILE
from ser.training.setup import Run
from ser.training.setup import augment_waveform
from ser.training.trainer import PatientStopping
from ser.training.trainer import SERTrainer
from ser.training.trainer import StoppingAfter

logger = logging.getLogger(__name__)

PACKAGES = ("torch", "transformers", "datasets", "numpy", "soundfile", "soxr", "audiomentations")


def train(run: Run) -> Report | None:
    """Train, evaluate once on the test split, and write the model folder and the report.

    Returns:
        The content of `results.json`; None in all processes but the first.
    """
    if run.training.use_cpu:
        keep_freed_memory()
    trainer = build_trainer(run)
    if trainer.is_world_process_zero():
        write_text(Path(run.training.output_dir) / RUN_FILE, json.dumps(run.identity.report_fields()) + "\n")
    trainer.train(resume_from_checkpoint=run.training.resume_from_checkpoint)
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # else it stays in bf16
    if not trainer.is_world_process_zero():
        return None
    run = for_inference(run)
    results, predictions = evaluate(run, model)
    results["wall_time_seconds"] = round(trainer.state.log_history[-1]["seconds"], 1)
    results["peak_memory_gib"] = peak_memory()
    results["history"] = trainer.state.log_history
    results["best_epoch"] = best_epoch(trainer.state) if run.training.load_best_model_at_end else None
    results["selected_by"] = None if run.data.refit else run.training.metric_for_best_model.removeprefix("eval_")
    write_report(
        model,
        run.extractor,
        results,
        predictions,
        run.splits["test"],
        model_dir=run.model_dir,
        results_dir=run.results_dir,
        title=run.name,
    )
    return results


def push(run: Run) -> str:
    """Push the finished model folder to the Hub.

    Returns:
        Address of the commit.

    Raises:
        ConnectionError: It failed; the message gives the command to push later.
    """
    training = run.training
    try:
        return push_model(run.model_dir, run.repo_id, token=training.hub_token, revision=training.hub_revision)
    except (ValueError, OSError) as error:
        words = ["python", "-m", "ser", "push", "model", str(run.model_dir), run.repo_id]
        command = shlex.join(words + (["--revision", training.hub_revision] if training.hub_revision else []))
        raise ConnectionError(f"{error}. The model is complete in {run.model_dir}; later: {command}") from error


def push_unfinished(run: Run, folder: Path, state: TrainerState) -> Future:
    """Push a checkpoint in the background; if that fails, training goes on."""
    job = commit_model(
        folder,
        run.repo_id,
        unfinished_card(run.repo_id, state.log_history),
        f"Training in progress, epoch {state.epoch:.0f}",
        token=run.training.hub_token,
        revision=run.training.hub_revision,
        run_as_future=True,
    )

    def warn(job: Future) -> None:
        if job.exception():
            logger.warning("pushing %s failed, training goes on: %s", folder.name, job.exception())

    job.add_done_callback(warn)
    return job


def build_trainer(run: Run) -> SERTrainer:
    """The trainer, with augmentation on the training split only."""
    extractor, augmentation, training = run.extractor, run.augmentation, run.training
    crop_frames = round(augmentation.crop_duration * extractor.sampling_rate / extractor.hop_length)
    callbacks: list[TrainerCallback] = []
    if run.before:
        callbacks.append(StoppingAfter(run.before["best_epoch"] or run.before["history"][-1]["epoch"]))
    if training.early_stopping_patience:
        callbacks.append(PatientStopping(early_stopping_patience=training.early_stopping_patience))
    return SERTrainer(
        model=run.model,
        args=training,
        train_dataset=ClipDataset(
            run.splits["train"],
            extractor,
            targets=training_targets(run),
            known_labels=known_labels(run.splits["train"]) if run.data.corpora else None,
            augment_waveform=augment_waveform(augmentation, extractor),
            augment_features=FeatureAugmentation(augmentation, extractor),
            mask_features=FeatureMasking(augmentation, crop_frames),
        ),
        eval_dataset=None if run.data.refit else ClipDataset(run.splits["dev"], extractor),
        processing_class=extractor,
        data_collator=functools.partial(extractor.pad, return_tensors="pt"),
        compute_metrics=lambda output: score(output.label_ids, output.predictions.argmax(1)),
        callbacks=callbacks,
        mixup_beta=augmentation.mixup_beta,
        sampling_weights=sampling_weights(run.splits["train"]) if run.data.corpora else None,
        push_checkpoint=functools.partial(push_unfinished, run),
    )


def training_targets(run: Run) -> np.ndarray:
    """The target probabilities of each training clip, shape `(clips, num_labels)`."""
    clips, augmentation = run.splits["train"], run.augmentation
    opinions = []
    if augmentation.vote_share:
        opinions.append((cast(np.ndarray, listeners_votes(clips)), augmentation.vote_share))  # there, as checked
    if run.teachers:
        with run.training.main_process_first(desc="asking the teachers"):  # the others find their features in the cache
            opinions.append(
                (teacher_probabilities(run.teachers, clips, run.training.device), run.training.teacher_share)
            )
    labels, num_labels = np.asarray(clips["label"][:]), len(clips.features["label"].names)
    targets = soft_targets(labels, num_labels, smoothing=augmentation.label_smoothing, opinions=opinions)
    if run.data.corpora:
        targets *= known_labels(clips)
        targets /= targets.sum(1, keepdims=True)
    return targets


def for_inference(run: Run) -> Run:
    """The run with the feature extractor and features of inference, and without changed copies of training clips."""
    if "copy" in run.splits["train"].column_names and run.data.protocol != "leaky":
        train = run.splits["train"]
        originals = train.select(np.flatnonzero(np.asarray(train["copy"][:]) == 0))
        run = replace(run, splits=datasets.DatasetDict(run.splits | {"train": originals}))
    if not run.inference_overrides:
        return run
    extractor = SERFeatureExtractor.from_dict(run.extractor.to_dict() | run.inference_overrides)
    splits = {
        name: with_features(clips.remove_columns(["features", "frames"]), extractor)
        for name, clips in run.splits.items()
    }
    return replace(run, extractor=extractor, splits=datasets.DatasetDict(splits))


def evaluate(run: Run, model: PreTrainedModel) -> tuple[Report, np.ndarray]:
    """Calibrate on dev, unless it was trained on; returns scores on all splits and the logits of the test split.

    Runs in float32, without augmentation.
    """
    logits = {
        name: predict_logits(
            model,
            ClipDataset(clips, run.extractor),
            batch_size=run.training.per_device_eval_batch_size,
            desc=f"Evaluating {name}",
        )
        for name, clips in run.splits.items()
    }
    labels = {name: np.asarray(clips["label"][:]) for name, clips in run.splits.items()}
    temperature = 1.0
    if run.before:
        temperature = run.before["temperature"]
    elif not run.data.refit:
        temperature = fit_temperature(logits["dev"], labels["dev"])
    before = reliability(logits["test"], labels["test"])
    model.config.calibration_temperature = temperature
    logits = {name: values / temperature for name, values in logits.items()}
    results = {
        **run.identity.report_fields(),
        "dataset_name": run.data.dataset_name if on_the_hub(run.data.dataset_name) else None,
        "trained_before": run.trained_before,
        "base_model": run.options.model_name_or_path if on_the_hub(run.options.model_name_or_path) else None,
        "license": run.options.license,
        "valid": run.data.protocol != "leaky",
        "parameters": model.num_parameters(),
        **report_on_test(run.splits["test"], logits["test"]),
        "temperature": temperature,
        "calibration": {"before": before, "after": reliability(logits["test"], labels["test"])},
        "leakage": check_leakage(run.splits),
        "parts": {name: describe_split(clips, logits[name]) for name, clips in run.splits.items()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "git_commit": run.git_commit,
        "device": torch.cuda.get_device_name() if model.device.type == "cuda" else model.device.type,
        "threads": torch.get_num_threads(),
        "bf16_training": run.training.bf16,
    }
    if run.data.corpora:
        results["by_corpus"] = {name: describe_by_corpus(clips, logits[name]) for name, clips in run.splits.items()}
    return cast(Report, results), logits["test"]


def best_epoch(state: TrainerState) -> float | None:
    """The epoch whose weights were kept for their score on the dev split; None if dev chose none."""
    epochs = [entry["epoch"] for entry in state.log_history if entry["step"] == state.best_global_step]
    return epochs[0] if epochs else None


__all__ = ["build_trainer", "push", "train"]
