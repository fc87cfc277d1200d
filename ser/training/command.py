"""Train a speech emotion recognizer, evaluate it once on the test split, and write a model folder and a report.

python train.py                                          # the default recipe; CREMA-D is downloaded if it is missing
python train.py --push_to_hub                            # the same, published as YOUR_NAME/ser-RECIPE
python train.py --recipe cnn2d --protocol actor-5fold --fold 1
python train.py --recipe cnn1d --dataset_dir my-clips    # your own clips and labels
python train.py --resume_from_checkpoint last            # continue after an interruption
torchrun --nproc_per_node 2 train.py                     # two GPUs
If the package is installed without its clone: python -m ser train, with the same options.
"""

import logging
import os
import sys

from ser.closed_pipe import reader_may_leave
from ser.files import sentence_of
from ser.plural import counted
from ser.reporting.run_report import classification_report
from ser.training.arguments import parse_arguments
from ser.training.run import push
from ser.training.run import train
from ser.training.setup import prepare
from ser.training.trainer import last_checkpoint


@reader_may_leave()
def main(arguments: list[str] | None = None, *, program: str = "train.py") -> None:
    """Parse, check, train; bad arguments and bad data end in one sentence.

    Args:
        arguments: Without the name of the program; default: those of this process.
        program: The start of that sentence.
    """
    first = os.environ.get("RANK", "0") == "0"  # of several processes, only one logs
    logging.basicConfig(level=logging.INFO if first else logging.ERROR, format="%(levelname)s: %(message)s")
    try:
        run = prepare(parse_arguments(arguments, description=__doc__))
    except (ValueError, OSError) as error:
        sys.exit(f"{program}: {sentence_of(error)}")
    except KeyboardInterrupt:
        sys.exit(f"{program}: stopped before the training began; the same command starts again")
    try:
        results = train(run)
    except OSError as error:
        sys.exit(f"{program}: {error}; to continue, checkpoints are in {run.training.output_dir}")
    except FloatingPointError as error:
        sys.exit(f"{program}: {error}")
    except KeyboardInterrupt:
        if last_checkpoint(run.training) is None:
            sys.exit(f"{program}: stopped before a checkpoint was written; the same command starts again")
        more = "the same command with --resume_from_checkpoint last continues after the last epoch"
        sys.exit(f"{program}: stopped; {more}")
    if results is None:  # the first of several processes reports
        return
    low, high = results["interval_95"]["accuracy"]
    narrow = ", too narrow to be trusted" if results["interval_too_narrow"] else ""
    print(
        f"{run.name}: {results['accuracy']:.1%} of {counted(results['test_clips'], 'test clip')} "
        f"(95 % interval over {results['interval_over']} {low:.1%} to {high:.1%}{narrow}), UAR {results['uar']:.1%}, "
        f"macro F1 {results['macro_f1']:.3f}, weighted F1 {results['weighted_f1']:.3f}\n\n"
        f"{classification_report(results)}\n\nmodel: {run.model_dir}\n"
        f"report, with curves.png, confusion.png and other pictures: {run.results_dir}"
    )
    if run.training.push_to_hub:
        try:
            print(f"pushed: {push(run)}")
        except (ValueError, OSError) as error:
            sys.exit(f"{program}: {error}")


__all__ = ["main"]
