"""Whole files or none."""

import pytest

from ser.files import atomic_folder
from ser.files import check_replaceable
from ser.files import write_text


def test_a_folder_appears_whole_and_replaces_the_old_one(tmp_path):
    target = tmp_path / "deep/report"
    for text in ("old", "new"):
        with atomic_folder(target) as folder:
            (folder / text).write_text(text)
            assert not (target / text).exists()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in target.parent.iterdir()] == ["report"]


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "disk/model").mkdir(parents=True)
    (tmp_path / "model").symlink_to("disk/model")
    for text in ("old", "new", "newest"):
        with atomic_folder(tmp_path / "model") as folder:
            (folder / text).write_text(text)
    assert (tmp_path / "model").is_symlink() and (tmp_path / "model/newest").exists()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["model"]


def test_an_error_leaves_the_old_folder_and_no_litter(tmp_path):
    with atomic_folder(tmp_path / "report") as folder:
        (folder / "results.json").write_text("{}")
    with pytest.raises(RuntimeError, match="disk"), atomic_folder(tmp_path / "report") as folder:
        (folder / "half").write_text("half")
        raise RuntimeError("disk full")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["results.json"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    for left in (".report.unfinished", ".report.previous"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "half").write_text("half")
    (tmp_path / "report").mkdir()
    with atomic_folder(tmp_path / "report") as folder:
        (folder / "results.json").write_text("{}")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["results.json"]


def test_only_a_folder_of_its_kind_would_be_replaced(tmp_path):
    for name in ("model.onnx", "thesis.txt"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name in ("model.onnx", "empty", "new/one"):
        check_replaceable(tmp_path / name, holding="model.onnx")
    with pytest.raises(ValueError, match="thesis.txt' would be replaced, but holds other files; choose a new folder"):
        check_replaceable(tmp_path / "thesis.txt", holding="model.onnx")
    with pytest.raises(ValueError, match="expected a folder that can be written to"):
        check_replaceable(tmp_path / "file", holding="model.onnx")
    (tmp_path / "model.onnx/config.json").touch()
    check_replaceable(tmp_path / "model.onnx", holding="model.onnx")
    check_replaceable(tmp_path / "model.onnx", holding="model.onnx", beside=["config.json"])
    with pytest.raises(ValueError, match="would be replaced, but holds other files"):
        check_replaceable(tmp_path / "model.onnx", holding="model.onnx", beside=["model.int8.onnx"])


def test_a_text_is_replaced_at_once(tmp_path):
    write_text(tmp_path / "a/b.md", "one")
    write_text(tmp_path / "a/b.md", "two")
    assert (tmp_path / "a/b.md").read_text() == "two"
    assert len(list((tmp_path / "a").iterdir())) == 1
