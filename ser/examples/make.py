"""Synthesize example clips; needs espeak-ng.

python ser/examples/make.py
"""

import io
import subprocess
from pathlib import Path

import numpy as np
import soundfile

VOICES = {
    "plain": ("en-us", 150, 45, 0.25, "The parcel came this morning. It is on the kitchen table."),
    "fast-high-and-loud": ("en-us+f3", 215, 90, 0.7, "I have told you three times to close that door!"),
    "slow-low-and-soft": ("en-gb+m3", 105, 15, 0.12, "Nobody came to the station. It was dark."),
}  # voice, words a minute, pitch of 99, peak amplitude, what it says
TALK = [
    ("en-us+f3", 160, 55, 0.3, "Have you heard? The boat is leaving tomorrow."),
    ("en-gb+m3", 110, 15, 0.12, "Tomorrow. Then there is nobody left who can repair the bridge."),
    ("en-us+f3", 220, 95, 0.7, "Why did nobody ask us? This cannot be true!"),
    ("en-gb+m3", 140, 35, 0.25, "It is only a bridge. We will walk around the lake."),
]
PAUSE = 1.2  # seconds


def speak(voice: str, speed: int, pitch: int, peak: float, text: str) -> tuple[np.ndarray, int]:
    """Samples and their rate in Hz."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", text]
    done = subprocess.run(command, check=True, capture_output=True)
    samples, rate = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    return peak * samples / np.abs(samples).max(), rate


def main() -> None:
    """Write one Ogg Vorbis file for each voice, and a talk of two with pauses."""
    folder = Path(__file__).parent
    for name, voice in VOICES.items():
        soundfile.write(folder / f"{name}.ogg", *speak(*voice))
    said = [speak(*voice) for voice in TALK]
    rate = said[0][1]
    pause = np.zeros(round(PAUSE * rate), np.float32)
    talk = np.concatenate([part for samples, _ in said for part in (samples, pause)])
    soundfile.write(folder / "two-voices.ogg", talk, rate)


if __name__ == "__main__":
    main()
