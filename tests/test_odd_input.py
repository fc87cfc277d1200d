"""docs/odd_input.md: odd sound, data and objects are put into every way in, and the page says what happened.

ODD_INPUT=write python -m pytest tests/test_odd_input.py    # writes the page anew
"""

import csv
import logging
import os
import re
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import imageio_ffmpeg
import malformed
import numpy as np
import onnxruntime
import soundfile
import soxr
import torch
from conftest import RATE
from conftest import ROOT
from conftest import speech
from gradio.data_classes import FileData
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from transformers import pipeline
from transformers.pipelines.pt_utils import KeyDataset

import ser
import ser.__main__
from ser.corpora import load_labelled_audio
from ser.inference import prediction_table
from ser.inference import timeline
from ser.inference.export_onnx import export
from ser.inference.loading import load_trained
from ser.page import handlers
from ser.page import uploads

PAGE = ROOT / "docs/odd_input.md"
LONGEST = 5.0  # seconds, in place of 10 and 30 minutes
# What a sentence says, in short; one that is not listed fails the test.
REASONS = {
    "could not be decoded|undecodable|damaged or not audio": "not audio",
    "which is too short|shorter than|too few to classify": "too short",
    "is silent|^silent": "it is silent",
    "NaN or infinite": "not finite",
    "samples beyond 100": "beyond full scale",
    "Hz, too slowly": "rate too low",
    "need the program ffmpeg|cannot be read here: convert": "needs ffmpeg or converting",
    "finds no sound|no sound that can be read": "no sound inside",
    "no samples": "no samples",
    "longer than|lasts more than": "too long",
    "no clip of .* can be used": "a label would vanish",
    "and no deeper": "label is unclear",
    "differ only in upper and lower case": "spelt in two ways",
    "at least two labels": "only one label",
    "write / between folders": "write / between folders",
    "save it as CSV in UTF-8": "save as UTF-8",
    "expected clips inside": "file lies outside",
    "expected --split": "name a --split",
    "samples alone do not say": "rate is unknown",
    "learn neither several labels at once": "not one label a clip",
    "has no column|expected --audio_column": "no such column",
    "with mode 'rb'": "open with mode 'rb'",
    "got int64": "int64 is ambiguous",
    "pass a batch as a list": "pass a list of clips",
    "got (float|list|NoneType|KeyDataset)$": "not a clip",
    "of one or two dimensions": "wrong dimensions",
    "'sampling_rate' in Hz beside": "rate is missing",
    "has its own: leave it out": "file has its own",
    "expected options|unexpected keyword": "no such option",
    "cannot be fetched": "cannot be fetched",
    "but there is none; check": "no such file",
}
ANSWERED = {True: "answered like the plain clip", False: "answered by what it holds", None: "says that nobody speaks"}


def in_short(sentence: str) -> str:
    found = [short for words, short in REASONS.items() if re.search(words, sentence)]
    assert found, f"say in REASONS what this means: {sentence}"
    return found[0]


def wav(samples: np.ndarray, rate: int = RATE, **options: str) -> bytes:
    return malformed.encode(samples, rate, **{"format": "WAV", "subtype": "FLOAT"} | options)


def claiming_more(content: bytes) -> bytes:
    changed = bytearray(content)
    struct.pack_into("<I", changed, content.index(b"data") + 4, 2**31 - 1)
    return bytes(changed)


CLIP = speech(2.0)
PLAIN = "plain.wav"
SOUND = {  # title: name of the file and its content
    "mono WAV at 16 kHz": (PLAIN, wav(CLIP)),
    "stereo FLAC at 44.1 kHz": (
        "stereo.flac",
        malformed.encode(np.stack([speech(2.0, rate=44100)] * 2, axis=1), 44100, format="FLAC"),
    ),
    "two channels in opposite phase": ("phase.wav", wav(np.stack([CLIP, -CLIP], axis=1))),
    "24 channels": ("many.wav", wav(np.stack([CLIP] * 24, axis=1))),
    "FLAC named .mp3": ("wrong-name.mp3", malformed.encode(CLIP, format="FLAC")),
    "AU (.au, likewise .caf, .w64)": ("sun.au", malformed.encode(CLIP, format="AU", subtype="PCM_16")),
    "MP3 cut short": ("cut.mp3", malformed.encode(CLIP, format="MP3")[:-3000]),
    "header that claims more": ("claims.wav", claiming_more(wav(CLIP, subtype="PCM_16"))),
    "WAV cut after its header": ("header.wav", wav(CLIP, subtype="PCM_16")[:44]),
    "empty file": ("empty.wav", b""),
    "text named .wav": ("text.wav", b"I am a text file. " * 300),
    "random bytes named .raw": ("bytes.raw", np.random.default_rng(0).bytes(5000)),
    "no samples": ("nothing.wav", wav(np.zeros(0))),
    "one sample": ("one.wav", wav(np.full(1, 0.5))),
    "50 ms": ("short.wav", wav(CLIP[:800])),
    "digital silence": ("silent.wav", wav(np.zeros(RATE))),
    "noise alone": ("noise.wav", wav(np.random.default_rng(0).standard_normal(RATE) / 50)),
    "one NaN among the samples": ("nan.wav", wav(np.where(np.arange(len(CLIP)) == 77, np.nan, CLIP))),
    "float samples up to 32768": ("loud.wav", wav(32768 * CLIP)),
    "sampled at 100 Hz": ("slow.wav", wav(CLIP[:200], 100)),
    "longer than the limit": ("long.flac", malformed.encode(speech(LONGEST + 0.5), format="FLAC")),
    "M4A (likewise WebM, AMR, AAC, WMA)": ("phone.m4a", b"aac"),
    "M4A that is damaged": ("broken.m4a", b"\0\0\0 ftypM4A " + bytes(range(256)) * 8),
}
ENCODED = {"phone.m4a", "broken.m4a"}  # once with ffmpeg and once without


class Ways:
    """Each way takes the path of a file; the answer is probabilities, None where nobody speaks, or a sentence."""

    def __init__(self, client, folder: Path):
        self.client, self.folder = client, folder
        self.classifier = pipeline("audio-classification", model=str(ROOT / "checkpoints/cnn1d"))
        model, extractor = load_trained(str(ROOT / "checkpoints/cnn2d"))
        self.session = onnxruntime.InferenceSession(export(model, extractor).SerializeToString())

    def page(self, path: Path) -> Any:
        upload = FileData(path=str(path)).model_dump()
        shown = handlers.respond([upload], "cnn1d", None)
        if refused := re.search(r'data-say="([^"]+)"><p class="said">.*No answer', shown.card):
            return f"refused: {in_short(refused[1])}"
        if "No speech" in shown.card:
            return None
        return np.array([float(share) / 100 for share in re.findall(r"(\d+(?:\.\d+)?)\s*%", shown.attempt["bars"])])

    def api(self, path: Path) -> Any:
        try:
            _, bars, _ = self.client.predict(handle_file(path), "cnn1d", api_name="/classify")
        except AppError as error:
            return f"error: {in_short(str(error))}"
        confidences = {entry["label"]: entry["confidence"] for entry in (bars or {}).get("confidences", [])}
        return np.array([confidences[label] for label in sorted(confidences)]) if confidences else None

    def pipeline(self, path: Path) -> Any:
        try:
            return by_label(self.classifier(str(path)))
        except ValueError as error:
            return f"ValueError: {in_short(str(error))}"

    def predict(self, path: Path) -> Any:
        output = self.folder / f"{path.name}.csv"
        ser.__main__.main(["predict", str(path), "--model", str(ROOT / "checkpoints/cnn1d"), "--output", str(output)])
        (row,) = csv.DictReader(output.read_text(encoding="utf-8").splitlines())
        output.unlink()
        if row["error"]:
            return f"row with the error: {in_short(row['error'])}"
        return np.array([float(row[label]) for label in sorted(self.classifier.model.config.label2id)])

    def train(self, path: Path) -> Any:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        for label, name, content in (
            ("calm", path.name, path.read_bytes()),
            ("calm", "other.wav", wav(CLIP[::-1])),
            ("cross", "third.wav", wav(CLIP[:RATE])),
        ):
            (folder / label).mkdir(exist_ok=True)
            (folder / label / name).write_bytes(content)
        with warnings_of() as said:
            clips = load_labelled_audio(str(folder), cache_dir=str(self.folder / "cache"))
        if path.stem in clips["clip"]:
            return "kept and trained on"
        (warning,) = said
        return f"left out, named: {in_short(re.split('clips?: ', warning)[1])}"

    def timeline(self, path: Path) -> Any:
        try:
            rows = timeline.analyse(path, self.classifier)
        except ValueError as error:
            return f"ValueError: {in_short(str(error))}"
        if not rows[0]["speech"]:
            return None
        return np.array([share for _, share in sorted(rows[0]["probabilities"].items())])

    def onnx(self, path: Path) -> Any:
        """The lines of the README."""
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, TypeError):  # TypeError: a name that ends in .raw
            return "soundfile does not read it"
        waveform = soxr.resample(samples.mean(1), rate, RATE)
        (probabilities,) = self.session.run(None, {"waveform": waveform})
        return "NaN in place of probabilities" if np.isnan(probabilities).any() else probabilities


def by_label(answer: list[dict]) -> np.ndarray:
    return np.array([entry["score"] for entry in sorted(answer, key=lambda entry: entry["label"])])


class warnings_of(logging.Handler):  # noqa: N801 - used like a function
    """The warnings of this package within a block."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    def __enter__(self) -> list[str]:
        logging.getLogger("ser").addHandler(self)
        return self.said

    def __exit__(self, *error) -> None:
        logging.getLogger("ser").removeHandler(self)


COLUMNS = {"page": "page", "page's API": "api", "pipeline": "pipeline", "`ser predict`": "predict"}
COLUMNS |= {"`ser train`": "train", "timeline": "timeline", "ONNX": "onnx"}


def table(columns: list[str], rows: dict[str, list[str]]) -> str:
    for cell in (cell for cells in rows.values() for cell in cells):
        assert 3 <= len(cell.split()) <= 8, cell
    lines = [["", *columns], ["---"] * (len(columns) + 1), *([title, *cells] for title, cells in rows.items())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def sound_table(client, folder: Path, monkeypatch) -> str:
    monkeypatch.setattr(prediction_table, "LONGEST", LONGEST)
    monkeypatch.setattr(uploads, "LONGEST", LONGEST)
    programs = folder / "programs"
    programs.mkdir()
    (programs / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    (folder / "files").mkdir()
    ways, rows, plain = Ways(client, folder), {}, {}
    for title, (name, content) in SOUND.items():
        path = folder / "files" / name
        path.write_bytes(malformed.encode_with_ffmpeg(CLIP, "m4a", "aac") if content == b"aac" else content)
        for place in (programs, "/nowhere") if name in ENCODED else ("/nowhere",):
            monkeypatch.setenv("PATH", str(place))
            cells = []
            for way in COLUMNS.values():
                outcome = getattr(ways, way)(path)
                if not isinstance(outcome, str):
                    same = None
                    if outcome is not None:
                        same = bool(np.abs(outcome - plain.setdefault(way, outcome)).max() < 0.05)
                    outcome = ANSWERED[same]
                cells.append(outcome)
            suffix = {programs: ", ffmpeg installed"}.get(place, ", no ffmpeg") if name in ENCODED else ""
            rows[title + suffix] = cells
    return table(list(COLUMNS), rows)


def clip_files(folder: Path, places: dict[str, int]) -> list[Path]:
    """Clips that differ, by the path within a folder and a number."""
    for place, number in places.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(wav(np.roll(CLIP, 1000 * number)))
    return [folder / place for place in places]


def listed(folder: Path, header: str, *rows: str, encoding: str = "utf-8") -> dict:
    """Four clips and a metadata.csv."""
    clip_files(folder, {f"{name}.wav": number for number, name in enumerate("abcd")})
    (folder / "metadata.csv").write_text("\n".join([header, *rows]), encoding=encoding)
    return {"name": str(folder)}


def labelled(folder: Path, *labels: str) -> dict:
    return listed(folder, "file,label", *(f"{name}.wav,{label}" for name, label in zip("abcd", labels, strict=True)))


def in_folders(folder: Path, *places: str) -> dict:
    clip_files(folder, {place: number for number, place in enumerate(places)})
    return {"name": str(folder)}


def saved(folder: Path, audio: Any = None, **columns: Any) -> dict:
    """A dataset of four clips, as `save_to_disk` writes it."""
    paths = [str(path) for path in clip_files(folder / "clips", {f"{name}.wav": i for i, name in enumerate("abcd")})]
    columns = {"audio": audio or paths, "label": ["calm", "calm", "cross", "cross"]} | columns
    datasets.Dataset.from_dict(columns).save_to_disk(folder / "saved")
    return {"name": str(folder / "saved")}


def broken(folder: Path) -> dict:
    given = in_folders(folder, "calm/a.wav", "calm/b.wav", "cross/c.wav", "cross/d.wav")
    for name in "cd":
        (folder / f"cross/{name}.wav").write_text("not a sound")
    return given


def copied(folder: Path, label: str) -> dict:
    given = in_folders(folder, "calm/a.wav", "calm/b.wav", "cross/c.wav")
    (folder / label / "d.wav").write_bytes((folder / "calm/a.wav").read_bytes())
    return given


def with_splits(folder: Path) -> dict:
    paths = clip_files(folder / "clips", {f"{name}.wav": i for i, name in enumerate("abcd")})
    rows = [{"audio": str(path), "label": label} for path, label in zip(paths, ("calm", "cross") * 2, strict=True)]
    splits = {"train": rows[:2], "test": rows[2:]}
    datasets.DatasetDict({name: datasets.Dataset.from_list(each) for name, each in splits.items()}).save_to_disk(
        folder / "saved"
    )
    return {"name": str(folder / "saved")}


def samples(number: int) -> list[float]:
    return np.roll(CLIP, 1000 * number)[:RATE].tolist()


DATA: dict[str, Callable[[Path], dict]] = {
    "a folder for each label": lambda f: in_folders(f, "calm/a.wav", "calm/b.wav", "cross/c.wav", "cross/d.wav"),
    "hidden folder (.ipynb_checkpoints)": lambda f: in_folders(
        f, "calm/a.wav", "calm/b.wav", "cross/c.wav", ".ipynb_checkpoints/d.wav"
    ),
    "all clips of a label unreadable": broken,
    "folders train/ and test/ of labels": lambda f: in_folders(
        f, "train/calm/a.wav", "train/cross/b.wav", "test/calm/c.wav", "test/cross/d.wav"
    ),
    "clips deeper than their label": lambda f: in_folders(
        f, "calm/x/a.wav", "calm/b.wav", "cross/c.wav", "cross/d.wav"
    ),
    "the same file twice, one label": lambda f: copied(f, "calm"),
    "the same file under two labels": lambda f: copied(f, "cross"),
    "labels with blanks (' calm')": lambda f: labelled(f, "calm", " calm", "cross", "cross "),
    "labels that differ in case": lambda f: labelled(f, "calm", "Calm", "cross", "cross"),
    "a row without a label": lambda f: labelled(f, "calm", "", "cross", "cross"),
    "only one label": lambda f: labelled(f, "calm", "calm", "calm", "calm"),
    "column Speaker, 's1' and 's1 '": lambda f: listed(
        f, "file,label,Speaker", "a.wav,calm,s1", "b.wav,calm,s1 ", "c.wav,cross,s2", "d.wav,cross,s2"
    ),
    "backslashes in metadata.csv": lambda f: listed(f, "file,label", "x\\a.wav,calm", "b.wav,cross"),
    "metadata.csv in UTF-16": lambda f: listed(f, "file,label", "a.wav,calm", "b.wav,cross", encoding="utf-16"),
    "metadata.csv names another folder's file": lambda f: listed(f, "file,label", "a.wav,calm", "/etc/passwd,cross"),
    "metadata.csv names only some clips": lambda f: listed(f, "file,label", "a.wav,calm", "b.wav,cross"),
    "metadata.csv names a missing file": lambda f: listed(
        f, "file,label", "a.wav,calm", "b.wav,calm", "c.wav,cross", "gone.wav,cross"
    ),
    "dataset with train and test splits": with_splits,
    "row without audio": lambda f: saved(
        f, [str(f / "clips/a.wav"), None, str(f / "clips/c.wav"), str(f / "clips/d.wav")]
    ),
    "audio as dicts of array and rate": lambda f: saved(
        f, [{"array": samples(number), "sampling_rate": RATE} for number in range(4)]
    ),
    "audio as arrays without rate": lambda f: saved(f, [samples(number) for number in range(4)]),
    "several labels a clip": lambda f: saved(f, label=[["calm"], ["calm", "cross"], ["cross"], []]),
    "numbers on a scale as labels": lambda f: saved(f, label=[0.1, 0.5, 0.7, 0.9]),
    "no column of that name": lambda f: saved(f) | {"audio_column": "sound"},
}


def trained(given: dict, cache: Path) -> str:
    """What `ser train` makes of data, before it trains."""
    try:
        with warnings_of() as said:
            clips = load_labelled_audio(**given, cache_dir=str(cache))
    except ValueError as error:
        return f"refused: {in_short(str(error))}"
    speakers = f" of {len({*clips['speaker']})} speakers" if "speaker" in clips.column_names else ""
    splits = ", keeps the splits" if "split" in clips.column_names else ""
    return f"trains on {len(clips)} clips{speakers}{splits}{', names the rest' if said else ''}"


def predicted(given: dict, output: Path) -> str:
    """What `ser predict` makes of the same."""
    words = ["predict", given["name"], *(["--audio_column", given["audio_column"]] if "audio_column" in given else [])]
    try:
        ser.__main__.main([*words, "--model", str(ROOT / "checkpoints/cnn1d"), "--output", str(output)])
    except SystemExit as ended:
        return f"refused: {in_short(str(ended))}"
    rows = list(csv.DictReader(output.read_text(encoding="utf-8").splitlines()))
    output.unlink()
    errors = sum(bool(row["error"]) for row in rows)
    return f"{len(rows)} rows, {errors or 'none'} with an error"


def data_table(folder: Path) -> str:
    rows = {}
    for number, (title, build) in enumerate(DATA.items()):
        given = build(folder / f"data-{number}")
        rows[title] = [trained(given, folder / "cache"), predicted(given, folder / "table.csv")]
    return table(["`ser train`", "`ser predict`"], rows)


def temporary_file() -> Any:
    file = tempfile.NamedTemporaryFile()
    file.write(wav(CLIP))
    return file


def key_dataset(path: Path) -> KeyDataset:
    return KeyDataset(datasets.Dataset.from_dict({"x": [str(path)]}).cast_column("x", datasets.Audio()), "x")


STEREO = np.stack([CLIP, CLIP])
OBJECTS: dict[str, Callable[[Path], tuple[Any, dict]]] = {  # an object, and options of the call
    "path as text or pathlib.Path": lambda p: (p, {}),
    "bytes of a file": lambda p: (p.read_bytes(), {}),
    "file open with mode 'rb'": lambda p: (p.open("rb"), {}),
    "file open with mode 'r'": lambda p: (p.open("r", encoding="latin-1"), {}),
    "NamedTemporaryFile just written": lambda p: (temporary_file(), {}),
    "float64 array": lambda p: (CLIP.astype(np.float64), {}),
    "int16 array": lambda p: ((CLIP * 32767).astype(np.int16), {}),
    "int64 array": lambda p: ((CLIP * 32767).astype(np.int64), {}),
    "stereo array, channels first or last": lambda p: (STEREO, {}),
    "bfloat16 tensor": lambda p: (torch.tensor(CLIP).bfloat16(), {}),
    "four clips stacked in one array": lambda p: (np.stack([CLIP] * 4), {}),
    "list of numbers": lambda p: (CLIP[:4000].tolist(), {}),
    "empty array": lambda p: (np.zeros(0), {}),
    "0-dimensional array": lambda p: (np.array(0.5), {}),
    "array with NaN": lambda p: (np.where(np.arange(len(CLIP)) == 7, np.nan, CLIP), {}),
    "dict of array and sampling_rate": lambda p: ({"array": CLIP, "sampling_rate": RATE}, {}),
    "dict of array without rate": lambda p: ({"array": CLIP}, {}),
    "dict of bytes and path": lambda p: ({"bytes": p.read_bytes(), "path": None}, {}),
    "KeyDataset over a column of audio": lambda p: (key_dataset(p), {}),
    "sampling_rate= beside a file": lambda p: (str(p), {"sampling_rate": RATE}),
    "topk= in place of top_k=": lambda p: (str(p), {"topk": 2}),
    "address that cannot be reached": lambda p: ("http://127.0.0.1:9/clip.wav", {}),
    "address of a file (file://)": lambda p: (p.as_uri(), {}),
    "path that is not there": lambda p: (str(p) + ".gone", {}),
    "path of a folder": lambda p: (str(p.parent), {}),
    "None": lambda p: (None, {}),
}


def objects_table(folder: Path) -> str:
    path = folder / PLAIN
    path.write_bytes(wav(CLIP))
    classifier, rows = pipeline("audio-classification", model=str(ROOT / "checkpoints/cnn1d")), {}
    plain, waveform = by_label(classifier(CLIP)), ser.load_audio(path, sampling_rate=RATE)

    def classified(source: Any, **options: Any) -> str:
        answer: Any = classifier(source, **options)
        answer = answer if isinstance(answer, list) else list(answer)
        return ANSWERED[
            bool(np.abs(by_label(answer[0] if isinstance(answer[0], list) else answer) - plain).max() < 0.05)
        ]

    def loaded(source: Any, **options: Any) -> str:
        options = {"source_rate": options.pop("sampling_rate")} | options if "sampling_rate" in options else options
        sound = ser.load_audio(source, sampling_rate=RATE, **options)
        same = len(sound) == len(waveform) and np.abs(sound - waveform).max() < 0.01
        return "read like the plain clip" if same else "read by what it holds"

    for title, make in OBJECTS.items():
        cells = []
        for way in (classified, loaded):
            source, options = make(path)
            try:
                cells.append(way(source, **options))
            except (ValueError, OSError, TypeError) as error:
                cells.append(f"{type(error).__name__}: {in_short(str(error))}")
        rows[title] = cells
    return table(["pipeline", "`ser.load_audio`"], rows)


def check(name: str, tables: str) -> None:
    """Compare a block of the page with what happened, or write it."""
    begin, end = f"<!-- {name}: written by tests/test_odd_input.py -->\n", f"<!-- end of {name} -->"
    before, rest = PAGE.read_text(encoding="utf-8").split(begin)
    committed, after = rest.split(end)
    if os.environ.get("ODD_INPUT") == "write":
        PAGE.write_text(f"{before}{begin}{tables}{end}{after}", encoding="utf-8")
    else:
        assert tables == committed


def test_odd_sound_through_every_way_in(client, tmp_path, monkeypatch):
    check("sound", sound_table(client, tmp_path, monkeypatch))


def test_odd_folders_tables_and_datasets(tmp_path):
    check("data", data_table(tmp_path))


def test_odd_objects(tmp_path):
    check("objects", objects_table(tmp_path))
