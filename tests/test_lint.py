"""The lint forbids what would run the code of whoever wrote a file, wherever in the project somebody should try."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

OURS = [*ROOT.glob("*.py"), *(ROOT / "ser").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
FORBIDDEN = {
    "import torch\ntorch.load(path)": "TID251",
    "from torch import load": "TID251",
    "import torch\ntorch.save(state, path)": "TID251",
    "import pickle": "TID251",
    "from dill import loads": "TID251",
    "import shelve": "TID251",
    "from joblib import dump": "TID251",
    "import numpy as np\nnp.load(path, allow_pickle=True)": "TID251",
    "import zipfile": "TID251",
    "import os\nos.system(name)": "TID251",
    "import subprocess\nsubprocess.run(name, shell=True)": "S602",
    "eval(name)": "S307",
    "exec(name)": "S102",
    "import yaml\nyaml.load(text)": "S506",
}


@pytest.mark.parametrize("code", FORBIDDEN)
def test_code_that_runs_what_a_file_says_does_not_pass(code):
    command = [sys.executable, "-m", "ruff", "check", "--output-format", "concise", "--stdin-filename", "ser/new.py"]
    done = subprocess.run([*command, "-"], input=code, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f": {FORBIDDEN[code]} " in done.stdout, done.stdout + done.stderr


def test_the_project_itself_trusts_no_code_that_comes_with_a_model():
    calls = [node for path in OURS for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert len(calls) > 1000
    trusting = [
        ast.unparse(call)
        for call in calls
        for keyword in call.keywords
        if keyword.arg == "trust_remote_code" and ast.unparse(keyword.value) != "False"
    ]
    assert not trusting
