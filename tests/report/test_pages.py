"""What the pages share: a template's text is escaped, assets follow each other, a file is whole or not there."""

from __future__ import annotations

import os

import pytest
from jinja2 import UndefinedError

from leanformer.report import pages


def test_a_file_is_written_whole(tmp_path):
    assert pages.write_whole(tmp_path / "page.html", "ü").read_text(encoding="utf-8") == "ü"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_what_can_not_be_written_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    page.write_text("old")

    def fail(*paths):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        pages.write_whole(page, "new")
    assert page.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_assets_follow_each_other():
    both = pages.assets("report.css", "league.css")
    assert both == pages.assets("report.css") + pages.assets("league.css")
    assert "</style" not in both


def test_a_template_wants_all_that_it_shows():
    with pytest.raises(UndefinedError):
        pages.fill("latency.html.j2", style="")
