"""`Trainer` with mixup, training accuracy and averaged weights, and the checkpoints to resume from."""

import copy
import math
import random
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sized
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from typing import cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_model
from safetensors.torch import save_model
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import EarlyStoppingCallback
from transformers import PreTrainedModel
from transformers import Trainer
from transformers import TrainerCallback
from transformers import TrainerControl
from transformers import TrainerState
from transformers import TrainingArguments
from transformers.trainer import OPTIMIZER_NAME
from transformers.trainer import SCHEDULER_NAME
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import HubStrategy
from transformers.trainer_utils import TrainOutput
from transformers.trainer_utils import sort_checkpoints
from transformers.utils import SAFE_WEIGHTS_NAME
from transformers.utils.hub import PushInProgress

from ser.files import read_json
from ser.training.arguments import SERTrainingArguments
from ser.training.augmentation import mixup

LIVE_WEIGHTS = "live_weights.safetensors"


class _Averaging(TrainerCallback):
    """Updates the moving average of the weights after each step."""

    def __init__(self, trainer: "SERTrainer"):
        self.trainer = trainer

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.trainer.averaged is not None:
            self.trainer.averaged.update_parameters(self.trainer.model)


class PatientStopping(EarlyStoppingCallback):
    """Stops after so many epochs without a better score on dev, including those before an interruption."""

    def waited(self, args: TrainingArguments, state: TrainerState) -> int:
        """Epochs since the best one so far."""
        metric = f"eval_{cast(str, args.metric_for_best_model).removeprefix('eval_')}"
        scores = [entry[metric] for entry in state.log_history if metric in entry]
        if not scores:
            return 0
        best = max(scores) if args.greater_is_better else min(scores)
        return len(scores) - 1 - scores.index(best)

    def finished(self, args: TrainingArguments, state: TrainerState) -> bool:
        """Whether a training has run out of patience."""
        return self.waited(args, state) >= self.early_stopping_patience

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Counts the epochs since the best one of a resumed training."""
        super().on_train_begin(args, state, control, **kwargs)
        self.early_stopping_patience_counter = self.waited(args, state)


class StoppingAfter(TrainerCallback):
    """Stops after so many epochs, although the learning-rate schedule may be longer."""

    def __init__(self, epoch: float):
        self.epoch = epoch

    def finished(self, args: TrainingArguments, state: TrainerState) -> bool:
        """Whether the training has reached that epoch."""
        return round(state.epoch or 0.0, 3) >= round(self.epoch, 3)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Stops there."""
        if self.finished(args, state):
            control.should_training_stop = True


class _ShuffledBatches(torch.utils.data.Sampler[int]):
    """The batches of a `LengthGroupedSampler` in random order; the last one, which may be smaller, stays last.

    Its own order goes from long clips to short ones. The running statistics of batch norms cover about ten batches, so
    at the end of each epoch they would be those of short clips only.
    """

    def __init__(self, grouped: LengthGroupedSampler):
        self.grouped = grouped

    def __len__(self) -> int:
        return len(self.grouped)

    def __iter__(self) -> Iterator[int]:
        indices, size = list(self.grouped), self.grouped.batch_size
        for batch in torch.randperm(len(indices) // size).tolist():
            yield from indices[batch * size : (batch + 1) * size]
        yield from indices[len(indices) // size * size :]


class _AllButTheLast(torch.utils.data.Sampler[int]):
    """Leaves out the clip that would be a batch of one, a different clip each epoch: batch norm needs two."""

    def __init__(self, sampler: Any):
        self.sampler = sampler

    def __len__(self) -> int:
        return len(self.sampler) - 1

    def __iter__(self) -> Iterator[int]:
        return islice(self.sampler, len(self))


class SERTrainer(Trainer):
    """Trains on augmented batches; if `args.ema_decay` is set, evaluates and saves the average of the weights.

    With `args.start_share`, the finished weights are between the trained and the initial ones (Wortsman et al. 2022,
    arXiv:2109.01903), so that less is forgotten.

    Args:
        mixup_beta: Of `mixup`, for training batches, whose labels are probabilities; 0 for none.
        sampling_weights: How often to draw each training clip; default: once per epoch.
        push_checkpoint: Pushes a checkpoint folder to the Hub in the background, given the state of the training.
        **kwargs: As `Trainer`.
    """

    model: PreTrainedModel
    args: SERTrainingArguments
    push_in_progress: PushInProgress | None  # type: ignore[assignment]  # None only, by the types of the base class
    hub_model_id: str | None  # type: ignore[assignment]  # likewise
    loss_is_scaled_for_ga = False  # it is the mean of a batch, whatever the steps over which gradients are accumulated

    def __init__(
        self,
        *,
        mixup_beta: float,
        sampling_weights: np.ndarray | None = None,
        push_checkpoint: Callable[[Path, TrainerState], Future] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.push_checkpoint = push_checkpoint
        self.mixup_beta = mixup_beta
        self.sampling_weights = sampling_weights
        self.hits, self.seen = torch.zeros((), dtype=torch.long), 0
        self.last_log = time.time()
        self.start = copy.deepcopy(self.model.state_dict()) if self.args.start_share else None
        self.averaged: AveragedModel | None = None
        if self.args.ema_decay:
            average = get_ema_multi_avg_fn(self.args.ema_decay)
            self.averaged = AveragedModel(self.model, multi_avg_fn=average, use_buffers=True)
            self.add_callback(_Averaging(self))

    def _get_train_sampler(self, train_dataset: torch.utils.data.Dataset | None = None) -> Any:
        sampler = super()._get_train_sampler(train_dataset)
        if self.sampling_weights is not None:
            weights = self.sampling_weights.tolist()
            sampler = torch.utils.data.WeightedRandomSampler(weights, len(weights))
        if isinstance(sampler, LengthGroupedSampler):
            sampler = _ShuffledBatches(sampler)
        clips, size = len(cast(Sized, sampler)), self._train_batch_size
        alone = self.args.world_size == 1 and 1 < size < clips and clips % size == 1  # several processes share the rest
        return _AllButTheLast(sampler) if alone else sampler

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Cross-entropy; in training, against probabilities of the known labels, possibly after mixup; counts hits."""
        if model.training and self.mixup_beta:
            inputs = inputs | mixup(inputs, self.mixup_beta)
        known = inputs.pop("known_labels", None)
        outputs = model(**inputs)
        if known is not None:
            outputs.loss = restricted_cross_entropy(outputs.logits, inputs["labels"], known)
        if model.training:
            hits = (outputs.logits.argmax(1) == inputs["labels"].argmax(1)).sum()
            self.hits = self.hits.to(hits.device) + hits  # reading the number here would wait for the GPU
            self.seen += len(outputs.logits)
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: the base class counts those of a language model, in each step."""
        return 0

    def log(self, logs: dict, *args: Any, **kwargs: Any) -> None:
        """Adds the seconds spent so far, over all resumptions, and the accuracy on augmented batches since then.

        Raises:
            FloatingPointError: The loss is not finite, from which training cannot recover.
        """
        for name in ("loss", "eval_loss"):
            if not math.isfinite(logs.get(name, 0.0)):
                raise FloatingPointError(
                    f"{name} is {logs[name]} in epoch {math.ceil(self.state.epoch or 0)}, so nothing more can be "
                    f"learned; start again with a --learning_rate below {self.args.learning_rate:g}"
                )
        now = time.time()
        earlier = next((entry["seconds"] for entry in reversed(self.state.log_history) if "seconds" in entry), 0.0)
        logs["seconds"] = earlier + now - self.last_log
        self.last_log = now
        if "loss" in logs and self.seen:
            logs["accuracy"] = int(self.hits) / self.seen
            self.hits, self.seen = torch.zeros_like(self.hits), 0
        super().log(logs, *args, **kwargs)

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Put the averaged weights into the model within a block."""
        if self.averaged is None:
            yield
            return
        live = copy.deepcopy(self.model.state_dict())
        self.model.load_state_dict(self.averaged.module.state_dict())
        try:
            yield
        finally:
            self.model.load_state_dict(live)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As `Trainer`, with the averaged weights."""
        with self.averaged_weights():
            return super().evaluate(*args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves the averaged weights as the model and, beside them, the live ones, from which training resumes."""
        output_dir = output_dir or self.args.output_dir
        with self.averaged_weights():
            super().save_model(output_dir, _internal_call)
        if self.averaged is not None and self.args.should_save:
            save_model(self.model, str(Path(output_dir) / LIVE_WEIGHTS))

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """As `Trainer`; a full disk is an OSError, whichever library reports it."""
        try:
            super()._save_checkpoint(*args, **kwargs)
        except (RuntimeError, SafetensorError) as error:
            raise OSError(f"a checkpoint could not be written ({str(error).partition(chr(10))[0]})") from error

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model=model)
        live = Path(resume_from_checkpoint) / LIVE_WEIGHTS
        if self.averaged is not None and live.exists():
            self.averaged.module.load_state_dict(self.model.state_dict())
            self.averaged.n_averaged.fill_(1)
            load_model(self.model, str(live))

    def init_hf_repo(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the repository was created before the features were extracted."""
        self.hub_model_id, self.push_in_progress = self.args.hub_model_id, None

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Pushes a model that loads; the base class leaves out its code and its card, and adds pickles."""
        busy = self.push_in_progress is not None and not self.push_in_progress.is_done()
        wanted = self.is_world_process_zero() and self.args.hub_strategy != HubStrategy.END and not busy
        if wanted and self.push_checkpoint is not None:
            job = self.push_checkpoint(Path(checkpoint_folder), self.state)
            self.push_in_progress = PushInProgress([job])  # type: ignore[arg-type]  # it says one job, and takes a list

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """As `Trainer`; afterwards the model has the best or last averaged weights.

        A training that had already stopped early is not continued.
        """
        if isinstance(resume_from_checkpoint, str):
            state = TrainerState.load_from_json(str(Path(resume_from_checkpoint) / TRAINER_STATE_NAME))
            early = (PatientStopping, StoppingAfter)
            stopping = [each for each in self.callback_handler.callbacks if isinstance(each, early)]
            if any(each.finished(self.args, state) for each in stopping):
                self.args.max_steps = state.global_step
        self.last_log = time.time()
        if self.args.world_size > 1:
            seed_process(self.args.seed + self.args.process_index)
        output = super().train(resume_from_checkpoint, *args, **kwargs)
        if self.averaged is not None and not self.args.load_best_model_at_end:
            self.model.load_state_dict(self.averaged.module.state_dict())
        self.averaged = None
        if self.start is not None:
            self.model.load_state_dict(between(self.model.state_dict(), self.start, self.args.start_share))
        return output


def between(
    one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor], share: float
) -> dict[str, torch.Tensor]:
    """Interpolates the weights and statistics of two networks; integers are those of the first."""
    return {
        name: torch.lerp(value, other[name], share) if value.is_floating_point() else value
        for name, value in one.items()
    }


def restricted_cross_entropy(logits: torch.Tensor, targets: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of a softmax over the known labels of each clip.

    Args:
        logits: Shape `(batch, num_labels)`.
        targets: Probabilities, 0 for the other labels, shape `(batch, num_labels)`.
        known: Which labels are known, bool, shape `(batch, num_labels)`.
    """
    return F.cross_entropy(logits.masked_fill(~known, torch.finfo(logits.dtype).min), targets)


def seed_process(seed: int) -> None:
    """Seed the augmentation of each process differently; torch's generator, which orders the clips, is not changed."""
    random.seed(seed)
    np.random.seed(seed)


def last_checkpoint(training: SERTrainingArguments) -> str | None:
    """The newest complete checkpoint of a run; None if there is none.

    The training state is written last, so a process killed while writing leaves no readable state; one killed while
    removing a checkpoint may leave the state without the rest.
    """
    needed = {SAFE_WEIGHTS_NAME, OPTIMIZER_NAME, SCHEDULER_NAME} | ({LIVE_WEIGHTS} if training.ema_decay else set())
    for checkpoint in map(Path, reversed(sort_checkpoints(training.output_dir))):
        try:
            read_json(checkpoint / TRAINER_STATE_NAME)
        except (FileNotFoundError, ValueError):
            continue
        if needed <= {path.name for path in checkpoint.iterdir()} and any(checkpoint.glob("rng_state*.pth")):
            return str(checkpoint)
    return None


__all__ = ["PatientStopping", "SERTrainer", "StoppingAfter", "between", "last_checkpoint", "restricted_cross_entropy"]
