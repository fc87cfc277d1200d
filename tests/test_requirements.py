"""What is imported is required, and what is required is imported."""

import ast
import os
import re
import subprocess
import sys

import pytest
import torch
from conftest import EXAMPLES
from conftest import ROOT

from ser.hub import push

CODE = [ROOT / "app.py", ROOT / "train.py", *(ROOT / "ser").rglob("*.py")]
PACKAGES = {"sklearn": "scikit-learn", "silero_vad": "silero-vad"}  # by the names that they are imported by
BROUGHT_ALONG = {"scipy", "sklearn", "tqdm", "httpx2", "filelock"}  # by librosa and huggingface_hub
OPTIONAL = {"onnx", "onnxscript"}  # of the extra `onnx`
NOT_OURS = {"ser", "train", "app"}


def imported() -> set[str]:
    """Packages that the code imports, by the names that pip knows them by."""
    nodes = [node for path in CODE for node in ast.walk(ast.parse(path.read_text()))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    tops = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - NOT_OURS
    return {PACKAGES.get(name, name) for name in tops}


def required(text: str) -> set[str]:
    return set(re.findall(r"^([\w-]+)==", text, re.MULTILINE))


def test_requirements_are_the_imports():
    assert imported() - OPTIONAL == required((ROOT / "requirements.txt").read_text())


WITHOUT = """
import sys
sys.modules |= dict.fromkeys(sys.argv[2:])
import app
from ser.page import handlers, offered_models, why
app.build()
name = next(iter(offered_models.load()))
handlers.classify(sys.argv[1], name)
model = offered_models.chosen(name)
waveform = handlers.read_clip(sys.argv[1], model)
print(why.explain(waveform, handlers.classify_clip(waveform, model), model, 0.0))
"""


@pytest.mark.slow
def test_the_page_needs_no_more_than_a_space_installs():
    ours, space = required((ROOT / "requirements.txt").read_text()), required(push.space_requirements())
    assert space == push.SPACE_PACKAGES < ours
    assert f"torch=={torch.__version__.partition('+')[0]}+cpu\n" in push.space_requirements()
    names = {package: name for name, package in PACKAGES.items()}
    absent = {names.get(package, package) for package in ours - space} - BROUGHT_ALONG
    command = [sys.executable, "-c", WITHOUT, str(EXAMPLES / "plain.ogg"), *absent]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "<img" in done.stdout
