"""One side of `benchmarks.training`: a training run of this project, an epoch at a time, with its costs."""

import copy
import functools
import resource
import sys
import time
from collections import defaultdict

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import TrainerCallback

from benchmarks.turns import hand_over
from ser.corpora.clip_dataset import ClipDataset
from ser.evaluation.scores import predict_logits
from ser.training.arguments import parse_arguments
from ser.training.cpu_memory import keep_freed_memory
from ser.training.run import build_trainer
from ser.training.setup import prepare


class Stopwatch:
    """Seconds spent inside methods, by name."""

    def __init__(self):
        self.seconds = defaultdict(float)

    def watch(self, owner: object, method: str, name: str) -> None:
        work = getattr(owner, method)

        @functools.wraps(work)
        def timed(*args, **kwargs):
            start = time.perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                self.seconds[name] += time.perf_counter() - start

        setattr(owner, method, timed)

    def read(self) -> dict[str, float]:
        """Seconds of each kind since the last reading; the forward pass is what is left of a step."""
        seconds, self.seconds = self.seconds, defaultdict(float)
        seconds["forward"] = seconds.pop("step", 0.0) - seconds["backward"]
        return dict(seconds)


class InTurns(TrainerCallback):
    """Hands over after each epoch, its evaluation and checkpoint included."""

    def __init__(self, stopwatch: Stopwatch):
        self.stopwatch = stopwatch

    def on_train_begin(self, args, state, control, optimizer=None, **kwargs):
        self.stopwatch.watch(optimizer, "step", "optimizer")

    def on_epoch_begin(self, args, state, control, **kwargs):
        if state.global_step:
            hand_over(parts=self.stopwatch.read())

    def on_train_end(self, args, state, control, **kwargs):
        hand_over(parts=self.stopwatch.read())


def epoch_flops(trainer) -> int:
    """Operations of all multiplications and additions of one epoch, forward and backward, as torch counts them."""
    model = copy.deepcopy(trainer.model).to("meta")
    with FlopCounterMode(display=False) as counter:
        for batch in trainer.get_train_dataloader():
            model(**{name: tensor.to("meta") for name, tensor in batch.items()}).loss.backward()
    return counter.get_total_flops()


def main() -> None:
    hand_over(threads=torch.get_num_threads())
    keep_freed_memory()
    run = prepare(parse_arguments(sys.argv[1:]))
    trainer, stopwatch = build_trainer(run), Stopwatch()
    stopwatch.watch(trainer, "get_batch_samples", "data")
    stopwatch.watch(trainer, "training_step", "step")
    stopwatch.watch(trainer.accelerator, "backward", "backward")
    stopwatch.watch(trainer.accelerator, "clip_grad_norm_", "optimizer")
    stopwatch.watch(trainer, "evaluate", "evaluation")
    stopwatch.watch(trainer, "_save_checkpoint", "checkpoint")
    trainer.add_callback(InTurns(stopwatch))
    trainer.train()
    test = run.splits["test"]
    logits = predict_logits(trainer.model.float(), ClipDataset(test, run.extractor), batch_size=16, desc="test")
    hand_over(
        predicted=dict(zip(test["clip"][:], logits.argmax(1).tolist(), strict=True)),
        parameters=sum(parameter.numel() for parameter in run.model.parameters())
        + sum(buffer.numel() for name, buffer in run.model.named_buffers() if "running" in name),
        flops=epoch_flops(trainer),
        workers=trainer.args.dataloader_num_workers,
        worker_peak_mib=round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10),
    )


if __name__ == "__main__":
    main()
