"""Train a speech emotion recognizer: see `python train.py --help`, and `ser.training.command`, which this runs."""

from ser.interrupted import may_be_stopped

with may_be_stopped("train.py"):
    from ser.training.command import main

if __name__ == "__main__":
    main()
