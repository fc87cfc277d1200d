"""Commands of this project; `python -m ser COMMAND --help` describes each.

python -m ser train --recipe flagship --dataset_dir clips    # train a model; in a clone also python train.py
python -m ser predict clips --output predictions.parquet    # classify many clips into one table
python -m ser embed clips --output embeddings.parquet       # one vector for each clip, to search or cluster
python -m ser export-onnx MODEL onnx                        # a trained model as an ONNX file
python -m ser robustness MODEL --data_dir data/crema-d      # accuracy in noise, rooms and codecs
python -m ser cross-corpus MODEL --dataset_dir my-clips     # accuracy on another corpus, or on your clips
python -m ser calibrate MODEL --corpora emodb=DIR ...       # calibrated probabilities for strangers' voices
python -m ser push model MODEL user/name                    # publish a model, a dataset or the page
python -m ser noise-floor --data_dir data/crema-d           # what the noise of CREMA-D reveals
python -m ser reproduce --crema_d data/crema-d              # train the missing runs of the tables
python -m ser results                                       # rewrite the tables from the reports
"""

import argparse
import importlib
import itertools
import sys
from collections.abc import Iterator
from typing import NoReturn

from ser.closed_pipe import reader_may_leave
from ser.files import sentence_of
from ser.interrupted import may_be_stopped
from ser.nearest_name import nearest

COMMANDS = {
    "train": "ser.training.command",
    "predict": "ser.inference.predict",
    "embed": "ser.inference.embed",
    "export-onnx": "ser.inference.export_onnx",
    "robustness": "ser.evaluation.robustness",
    "cross-corpus": "ser.evaluation.cross_corpus",
    "calibrate": "ser.evaluation.calibrate",
    "push": "ser.hub.push",
    "noise-floor": "ser.experiments.noise_floor",
    "reproduce": "ser.experiments.reproduce",
    "results": "ser.experiments.write_results",
}


class _Parser(argparse.ArgumentParser):
    """Raises `ValueError` instead of printing the usage."""

    def __init__(self, prog: str, description: str | None = None):
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, description=description, formatter_class=layout, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Called by argparse."""
        raise ValueError(f"{message}; see {self.prog} --help")

    def options(self) -> Iterator[str]:
        """Every option, including those of subcommands."""
        for action in self._actions:
            yield from action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    yield from parser.options()

    def check_names(self, words: list[str]) -> None:
        """Refuse an unknown option before argparse reports missing ones."""
        given = itertools.takewhile(lambda word: word != "--", words)
        for name in (word.partition("=")[0] for word in given if word.startswith("--")):
            if name not in (known := list(self.options())):
                raise ValueError(f"there is no option {name}{nearest(name, known) or f'; see {self.prog} --help'}")


@reader_may_leave()
def main(arguments: list[str] | None = None) -> None:
    """Run one command; errors end in one sentence."""
    name, *words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        return _Parser("python -m ser COMMAND", __doc__).print_help()
    if name not in COMMANDS:
        expected = f"; expected {', '.join(COMMANDS)}"
        sys.exit(f"ser: there is no command {name!r}{nearest(name, COMMANDS) or expected}")
    try:
        with may_be_stopped(f"ser {name}"):
            command = importlib.import_module(COMMANDS[name])
    except ImportError as error:  # a package that only this command needs
        sys.exit(f"ser {name}: {error}")
    if name == "train":  # whose hundreds of options have a parser of their own
        return command.main(words, program="ser train")
    try:
        parser = _Parser(f"python -m ser {name}", command.__doc__)
        command.add_arguments(parser)
        parser.check_names(words)
        command.run(parser.parse_args(words))
    except (ValueError, OSError) as error:
        sys.exit(f"ser {name}: {sentence_of(error)}")
    except KeyboardInterrupt:
        sys.exit(f"ser {name}: stopped; {command.STOPPED}")


if __name__ == "__main__":
    main()
