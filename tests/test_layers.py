"""Packages of `ser` import downwards only, so that each can be read without those above it."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

# From the bottom: a module may import its own level and those below.
LEVELS = (
    {"models", "registration", "files", "audio_files", "closed_pipe", "interrupted", "nearest_name", "plural"},
    {"recipes", "corpora"},
    {"reporting"},
    {"inference", "hub"},
    {"evaluation", "page"},
    {"training"},
    {"experiments"},
    {"__main__"},
)
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}


def imported(path: Path) -> set[str]:
    """What of `ser` a module imports: names of packages and top-level modules."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    modules = [node.module or "" for node in nodes if not node.level]
    return {module.split(".")[1] for module in modules if module.startswith("ser.")}


@pytest.mark.parametrize("name", sorted(LEVEL))
def test_imports_go_downwards(name):
    folder = ROOT / "ser" / name
    for path in folder.rglob("*.py") if folder.is_dir() else [folder.with_suffix(".py")]:
        upwards = {other for other in imported(path) if LEVEL[other] > LEVEL[name]}
        assert not upwards, f"{path.relative_to(ROOT)} imports {', '.join(upwards)}, which stand above it"


def test_what_travels_to_the_hub_imports_only_its_siblings():
    for path in (ROOT / "ser/models").glob("*.py"):
        assert not imported(path), f"{path.name} imports ser, which a stranger's process does not have"
