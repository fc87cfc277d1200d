"""What is imported is required, and what is required is imported."""

import ast
import re
import sys

from conftest import ROOT

CODE = [ROOT / "app.py", ROOT / "train.py", *(ROOT / "ser").rglob("*.py")]
PACKAGES = {"sklearn": "scikit-learn", "silero_vad": "silero-vad"}  # by the names that they are imported by
OPTIONAL = {"onnx", "onnxscript"}  # of the extra `onnx`
NOT_OURS = {"ser", "train", "app"}


def imported() -> set[str]:
    """Packages that the code imports, by the names that pip knows them by."""
    nodes = [node for path in CODE for node in ast.walk(ast.parse(path.read_text()))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    tops = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - NOT_OURS
    return {PACKAGES.get(name, name) for name in tops}


def test_requirements_are_the_imports():
    text = (ROOT / "requirements.txt").read_text()
    required = set(re.findall(r"^([\w-]+)==", text, re.MULTILINE))
    assert imported() - OPTIONAL == required
