"""One side of `benchmarks.training`: a training run of this project, an epoch at a time, with its costs."""

import copy
import re
import resource
import sys
from collections import Counter
from itertools import islice

import torch
from torch.profiler import ProfilerActivity
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import TrainerCallback

from benchmarks.machine import Stopwatch
from benchmarks.turns import hand_over
from ser.training.arguments import parse_arguments
from ser.training.cpu_memory import keep_freed_memory
from ser.training.run import build_trainer
from ser.training.setup import prepare

STEPS = 5
KINDS = {"products": "conv|mm$", "batch norm": "batch_?norm", "pooling": "pool|pairmax"}


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
    """Operations of all multiplications and additions of one epoch, its evaluation included, as torch counts them."""
    model = copy.deepcopy(trainer.model).to("meta")
    with FlopCounterMode(display=False) as counter:
        for batch in trainer.get_train_dataloader():
            model(**on_meta(batch)).loss.backward()
        for batch in trainer.get_eval_dataloader():
            model(**on_meta(batch))  # with gradients: blocks are not folded, and every product counts
    return counter.get_total_flops()


def on_meta(batch) -> dict[str, torch.Tensor]:
    """A batch without its numbers."""
    return {name: tensor.to("meta") for name, tensor in batch.items()}


def operations(trainer) -> dict[str, float]:
    """What shares of the time of some training steps the kinds of operations take."""
    microseconds = Counter()
    trainer.model.train()
    with profile(activities=[ProfilerActivity.CPU]) as record:
        for batch in islice(trainer.get_train_dataloader(), STEPS):
            trainer.model(**batch).loss.backward()
    for event in record.key_averages():
        kinds = [kind for kind, pattern in KINDS.items() if re.search(pattern, event.key, re.IGNORECASE)]
        microseconds[kinds[0] if kinds else "rest"] += event.self_cpu_time_total
    return {kind: round(microseconds[kind] / microseconds.total(), 3) for kind in (*KINDS, "rest")}


def main() -> None:
    hand_over(threads=torch.get_num_threads())
    keep_freed_memory()
    run = prepare(parse_arguments(sys.argv[1:]))
    trainer, stopwatch = build_trainer(run), Stopwatch()
    stopwatch.watch(trainer, "get_batch_samples", "data")
    stopwatch.watch(trainer, "training_step", "forward")
    stopwatch.watch(trainer.accelerator, "backward", "backward")
    stopwatch.watch(trainer.accelerator, "clip_grad_norm_", "optimizer")
    stopwatch.watch(trainer, "evaluate", "evaluation")
    stopwatch.watch(trainer, "_save_checkpoint", "checkpoint")
    trainer.add_callback(InTurns(stopwatch))
    trainer.train()
    hand_over(
        parameters=sum(parameter.numel() for parameter in run.model.parameters())
        + sum(buffer.numel() for name, buffer in run.model.named_buffers() if "running" in name),
        operations=operations(trainer),
        flops=epoch_flops(trainer),
        workers=trainer.args.dataloader_num_workers,
        worker_peak_mib=round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10),
    )


if __name__ == "__main__":
    main()
