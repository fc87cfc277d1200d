"""The notebook from its first cell to its last, pushing included, on made-up clips."""

import nbclient
import nbformat
from conftest import ROOT
from conftest import write_corpus
from hub_server import serve

CODES = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")


def test_the_tour_can_be_walked(tmp_path, monkeypatch):
    names = [f"{actor}_DFA_{code}_XX" for actor in ("1001", "1002", "1003", "1004") for code in CODES]
    write_corpus(tmp_path / "clips", names)
    notebook = nbformat.read(ROOT / "notebooks/tour.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    with serve() as hub:
        for name, value in hub.environment(tmp_path / "hf").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CREMA_D", str(tmp_path / "clips"))
        monkeypatch.setenv("WORK_DIR", str(tmp_path / "work"))
        monkeypatch.setenv("HUB_MODEL_ID", "user/tour")
        nbclient.NotebookClient(
            notebook, timeout=600, resources={"metadata": {"path": str(ROOT / "notebooks")}}
        ).execute()
        assert "model.safetensors" in hub.model("user/tour").files
    printed = [
        output["text"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output["output_type"] == "stream" and output["name"] == "stdout"
    ]
    assert any("% of 6 test clips" in text for text in printed)
    assert printed[-1].startswith(hub.url)
    pictures = sum("image/png" in o.get("data", {}) for cell in notebook.cells for o in cell.get("outputs", []))
    assert pictures == 3  # the clip, the curves, the confusion matrix
