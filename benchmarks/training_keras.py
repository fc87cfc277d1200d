"""The other side of `benchmarks.training`: the same networks the way class projects train them.

Keras on the CPU, features by librosa in a Python loop, the whole set in memory, padded to 400 frames. Where the recipe
has changed copies, each clip is trained on as it is and once changed in one of four ways, before training. Runs without
this project, in an environment of its own. Batch norm moves faster than in the recipes (momentum 0.9 instead of 0.99),
since few steps are trained.
"""

import json
import random
import sys
from importlib.metadata import version
from pathlib import Path

import keras
import librosa
import numpy as np
from keras import layers

from benchmarks.turns import hand_over

RATE, N_FFT, HOP, FRAMES = 16000, 2048, 512, 400
CHANNELS = (64, 128, 256, 512)


def augment(y: np.ndarray) -> np.ndarray:
    """Noise, shift, pitch or tempo, one of the four, as strong as in ours."""
    change = random.choice(("noise", "shift", "pitch", "tempo"))
    if change == "noise":
        return y + 0.075 * random.random() * y.max() * np.random.randn(len(y))
    if change == "shift":
        return np.roll(y, random.randint(-5000, 5000))
    if change == "pitch":
        return librosa.effects.pitch_shift(y, sr=RATE, n_steps=4)
    return librosa.effects.time_stretch(y, rate=random.uniform(0.8, 1.2))


def pad(rows: np.ndarray) -> np.ndarray:
    """`(rows, frames)` to `(rows, 400)`."""
    return np.pad(rows[:, :FRAMES], ((0, 0), (0, max(0, FRAMES - rows.shape[1]))))


def mel_image(y: np.ndarray) -> np.ndarray:
    """`(128, 400)`, in dB below the loudest."""
    mel = librosa.feature.melspectrogram(y=y, sr=RATE, n_fft=N_FFT, hop_length=HOP, n_mels=128)
    return pad(librosa.power_to_db(mel, ref=np.max))


def zcr_and_energy(y: np.ndarray) -> np.ndarray:
    """`(2, 400)`: zero-crossing rate and energy."""
    zcr = librosa.feature.zero_crossing_rate(y, frame_length=N_FFT, hop_length=HOP)[0]
    frames = [y[start : start + N_FFT] for start in range(0, HOP * len(zcr), HOP)]
    return pad(np.array([zcr, [np.sum(frame**2) / max(1, len(frame)) for frame in frames]]))


# Features, input shape, and the layers of the network.
RECIPES = {
    "mel-2d": (mel_image, (128, FRAMES, 1), (layers.Conv2D, layers.MaxPooling2D, layers.GlobalAveragePooling2D)),
    "zcr-energy-1d": (
        zcr_and_energy,
        (2 * FRAMES, 1),
        (layers.Conv1D, layers.MaxPooling1D, layers.GlobalAveragePooling1D),
    ),
}


def features(paths: list[str], recipe: str, *, augmented: bool) -> np.ndarray:
    """All clips of a split and, perhaps, a changed copy of each, `(clips, rows, 400)`."""
    rows = []
    for path in paths:
        y, _ = librosa.load(path, sr=RATE)
        y, _ = librosa.effects.trim(y, top_db=60)
        rows += [RECIPES[recipe][0](each) for each in ((y, augment(y)) if augmented else (y,))]
    return np.array(rows, dtype=np.float32)


def build(recipe: str) -> keras.Model:
    """The network, compiled."""
    _, shape, (convolution, pool, mean) = RECIPES[recipe]
    model = keras.Sequential([keras.Input(shape)])
    for channels in CHANNELS:
        model.add(convolution(channels, 3, padding="same"))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.Activation("relu"))
        model.add(pool(2))
    model.add(mean())
    model.add(layers.Dense(128, activation="relu"))
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(6, activation="softmax"))
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class InTurns(keras.callbacks.Callback):
    """Hands over after each epoch, its validation included."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch:
            hand_over()

    def on_train_end(self, logs=None):
        hand_over()


def main() -> None:
    recipe, task = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    hand_over(versions={name: version(name) for name in ("tensorflow-cpu", "keras", "librosa", "numpy")})
    keras.utils.set_random_seed(0)
    paths = {name: [clip["path"] for clip in clips] for name, clips in task["splits"].items()}
    labels = {name: np.array([clip["label"] for clip in clips]) for name, clips in task["splits"].items()}
    copied = recipe == "zcr-energy-1d"
    if copied:
        labels["train"] = np.repeat(labels["train"], 2)
    sets = {name: features(paths[name], recipe, augmented=copied and name == "train") for name in ("train", "dev")}
    mean, std = (measure(sets["train"], axis=(0, 2), keepdims=True) for measure in (np.mean, np.std))

    def inputs(values: np.ndarray) -> np.ndarray:
        return ((values - mean) / std).reshape(-1, *RECIPES[recipe][1])

    model = build(recipe)
    model.fit(
        inputs(sets["train"]),
        labels["train"],
        batch_size=32,
        epochs=task["epochs"],
        validation_data=(inputs(sets["dev"]), labels["dev"]),
        callbacks=[InTurns()],
        verbose=0,
    )
    hand_over(parameters=model.count_params())


if __name__ == "__main__":
    main()
