"""Reports are read as they were written, today or by version 0.1.0."""

import json

from ser.files import BUNDLED
from ser.reporting.report_file import REPORT
from ser.reporting.report_file import load_report


def test_a_report_of_version_0_1_0_is_read_with_the_names_of_today(tmp_path):
    report = load_report(BUNDLED)
    assert report["trained_before"] and report["most_confused"]
    old = dict(report) | {"heard_before": report["trained_before"]}
    del old["trained_before"]
    old["most_confused"] = [
        {"heard_as" if name == "predicted" else name: value for name, value in pair.items()}
        for pair in report["most_confused"]
    ]
    (tmp_path / REPORT).write_text(json.dumps(old))
    assert load_report(tmp_path) == report
