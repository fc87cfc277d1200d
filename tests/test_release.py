"""The locked requirements are those that the tests ran with, each with its hashes; an audit ends in a sentence."""

import re
import subprocess

import pytest
from conftest import ROOT

LOCKS = ("requirements.lock", "requirements-cpu.lock")
PIN = re.compile(r"([\w.-]+)==([^\s;]+)( ; .+?)?")


def pins(text: str) -> list[tuple[str, str]]:
    found = [PIN.fullmatch(line) for line in text.splitlines() if line and not line.startswith("#")]
    assert all(found)
    return [(match[1].lower().replace("_", "-"), match[2]) for match in found]


def entries(name: str) -> list[str]:
    """A line for each requirement: its pin and its hashes."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
    return text.replace("\\\n", "").splitlines()


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_requirement_has_hashes_and_nothing_else(name):
    assert len(entries(name)) > 100
    for entry in entries(name):
        pin, *hashes = re.split(r"\s+--hash=", entry)
        assert PIN.fullmatch(pin), entry
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), pin


@pytest.mark.parametrize("name", LOCKS)
def test_what_is_required_is_locked_at_the_same_version(name):
    locked = pins("\n".join(entry.partition(" --hash")[0].strip() for entry in entries(name)))
    wanted = pins((ROOT / "requirements.txt").read_text())
    assert len(wanted) == 22
    for package, version in wanted:
        build = "+cpu" if package == "torch" and "cpu" in name else ""
        assert (package, version + build) in locked


def test_the_lock_for_the_cpu_needs_no_cuda_packages():
    with_cuda, without = ([pin.split("==")[0] for pin in entries(name)] for name in LOCKS)
    assert [package for package in with_cuda if package.startswith("nvidia-")]
    assert not [package for package in without if package.startswith(("nvidia-", "cuda-", "triton"))]


@pytest.mark.parametrize(
    ("answer", "status", "sentence"),
    [
        ("echo No known vulnerabilities found >&2", 0, "No known vulnerabilities found"),
        (
            "echo Found 2 known vulnerabilities in 1 package >&2; exit 1",
            1,
            "Found 2 known vulnerabilities in 1 package",
        ),
        ("echo ERROR: torch could not be audited >&2; exit 1", 2, "gives no answer here (ERROR: torch could not be"),
        (
            "printf 'Traceback\\n lines\\nConnectionError: away\\n' >&2; exit 1",
            2,
            "(ConnectionError: away); run it again",
        ),
    ],
    ids=["clean", "vulnerable", "unknown", "away"],
)
def test_an_audit_that_got_no_answer_is_not_taken_for_a_good_one(tmp_path, answer, status, sentence):
    (tmp_path / "pip-audit").write_text(f"#!/bin/sh\n{answer}\n")
    (tmp_path / "pip-audit").chmod(0o755)
    done = subprocess.run([ROOT / ".ci/audit", tmp_path / "pip-audit"], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert sentence in done.stdout + done.stderr and "Traceback" not in done.stdout + done.stderr
