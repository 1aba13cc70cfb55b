"""The page of latency tables is complete, and loads nothing."""

import re
import xml.etree.ElementTree as ElementTree
from io import StringIO

import pytest
from rich.console import Console

from latency_example import SETTING, Law, at, example_table
from leanformer.errors import LatencyError
from leanformer.measure.latency.describe import describe
from leanformer.measure.latency.table import Table
from leanformer.report.latency import latency_page, terminal_tables, write_latency_page
from leanformer.report.pictures import svg
from leanformer.report.pictures.latency import steps_picture, sublayer_picture

VARIANTS = (("torch", "fp32"), ("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("openvino", "bf16"))


@pytest.fixture(scope="module")
def described():
    settings = [at(SETTING, runtime=runtime, precision=precision) for runtime, precision in VARIANTS]
    settings += [at(setting, batch=1) for setting in settings]
    return describe(example_table(Law(odd_ms=0.3), tuple(settings)))


def test_the_page_loads_nothing_from_outside(described):
    page = latency_page([described])
    assert not re.findall(r'(?:src|href)="(?!data:,")|url\(|@import|<script', page)
    assert "default-src 'none'" in page
    assert page.count('class="panel"') == 2  # batch 1 and 8
    assert page.count('class="wide"') == page.count('class="narrow"') == 2 * 3
    assert "Test CPU 9000" in page


def test_hostile_names_are_text(described):
    evil = '</style><script>alert(1)</script>"><img src=x>'
    page = latency_page([{**described, "subject": {**described["subject"], "cpu": evil}}])
    assert "<script" not in page
    assert "<img" not in page


@pytest.mark.parametrize("part", ["attention", "ffn"])
def test_a_mark_for_each_measured_size(described, part):
    rows = [row for row in described["rows"] if row["batch"] == 1]
    wide = ElementTree.fromstring(f"<div>{sublayer_picture(rows, part)}</div>").find("div[@class='wide']")
    marks = [one for one in wide.iter() if (one.get("class") or "").startswith("spot")]
    assert len(marks) == sum(len(row[part]) for row in rows)
    assert sum((one.get("class") or "").startswith("series") for one in wide.iter()) == len(VARIANTS)
    assert all(one.find("title").text for one in marks)


def test_pictures_stay_within_their_width(described):
    for picture in (sublayer_picture(described["rows"], "ffn"), steps_picture(described["rows"])):
        root = ElementTree.fromstring(f"<div>{picture}</div>")
        for class_, width in (("wide", svg.WIDE), ("narrow", svg.NARROW)):
            places = [float(one.get("x")) for one in root.find(f"div[@class='{class_}']").iter("text")]
            assert 0 <= min(places) <= max(places) <= width


def test_the_terminal_shows_every_setting(described):
    console = Console(width=120, record=True, file=StringIO())
    console.print(terminal_tables([described]))
    shown = console.export_text()
    assert shown.count("ONNX Runtime int8") == 2
    assert "multiples" in shown


def test_an_unfinished_table_says_so(described):
    unfinished = describe(
        Table(example_table().subject, example_table().sessions, example_table().points[:2])
    )
    assert "1 more settings" in latency_page([unfinished])
    assert "not measured far enough" in latency_page([unfinished])


def test_a_page_without_a_folder_is_refused(tmp_path, described):
    with pytest.raises(LatencyError, match="no folder"):
        write_latency_page(tmp_path / "none" / "page.html", [described])
    assert (
        write_latency_page(tmp_path / "page.html", [described])
        .read_text(encoding="utf-8")
        .startswith("<!doc")
    )
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]
