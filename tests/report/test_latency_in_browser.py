"""The latency page in headless Chromium: it fits 1280 and 400 pixels, and shows one width of each picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_report_in_browser import CHROMIUM, look

from latency_example import SETTING, Law, at, example_table
from leanformer.measure.latency.describe import describe
from leanformer.report.latency import latency_page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the browser `chromium` is not installed")


@pytest.mark.parametrize("width", [1280, 400])
def test_it_renders_without_error_and_fits(tmp_path: Path, width: int) -> None:
    settings = (SETTING, at(SETTING, runtime="openvino", precision="int8"), at(SETTING, batch=1))
    table = describe(example_table(Law(odd_ms=0.3), settings))
    table["subject"]["cpu"] = "unbroken" * 40
    page = latency_page([table]).replace(
        "style-src", "script-src 'unsafe-inline'; style-src"
    )  # for the probe
    probe, log = look(tmp_path, page, width)
    assert (probe["overflow"], probe["outside"], probe["faults"]) == ("0", "0", "")
    assert probe["pictures"] == "6"  # attention, FFN and ragged widths, at batch 8 and at batch 1
    assert "CONSOLE" not in log
