"""Commands of this project; `python -m ser COMMAND --help` describes each.

python -m ser predict clips --output predictions.parquet    # classify many clips into one table
python -m ser export-onnx MODEL onnx                        # a trained model as an ONNX file
python -m ser robustness MODEL --data_dir data/crema-d      # accuracy in noise, rooms and codecs
python -m ser cross-corpus MODEL --dataset_dir my-clips     # accuracy on another corpus, or on your clips
python -m ser calibrate MODEL --corpora emodb=DIR ...       # probabilities that hold for strangers' voices
python -m ser push model MODEL user/name                    # publish a model, a dataset or the page
python -m ser noise-floor --data_dir data/crema-d           # what the noise of CREMA-D reveals
python -m ser reproduce --crema_d data/crema-d              # train every run of the tables that is missing
python -m ser results                                       # write the tables anew from the reports
"""

import argparse
import importlib
import sys

COMMANDS = {
    "predict": "ser.inference.predict",
    "export-onnx": "ser.inference.export_onnx",
    "robustness": "ser.evaluation.robustness",
    "cross-corpus": "ser.evaluation.cross_corpus",
    "calibrate": "ser.evaluation.strangers",
    "push": "ser.hub.push",
    "noise-floor": "ser.experiments.noise_floor",
    "reproduce": "ser.experiments.reproduce",
    "results": "ser.experiments.write_results",
}


def main(arguments: list[str] | None = None) -> None:
    """Run one command; whatever goes wrong ends in one sentence."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = _parser("python -m ser", __doc__)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=", ".join(COMMANDS))
    name = parser.parse_args(words[:1]).command
    try:
        command = importlib.import_module(COMMANDS[name])
        parser = _parser(f"python -m ser {name}", command.__doc__)
        command.add_arguments(parser)
        options = parser.parse_args(words[1:])
    except ImportError as error:  # a package that only some commands need
        sys.exit(f"ser {name}: {error}")
    try:
        command.run(options)
    except (ValueError, OSError) as error:
        sys.exit(f"ser {name}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"ser {name}: stopped; {command.STOPPED}")


def _parser(program: str, description: str | None) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )


if __name__ == "__main__":
    main()
