"""The page in headless Chromium: it renders, without errors, and fits 1280 and 400 pixels."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest
from report_example import example_budget, example_climb, example_result

from leanformer.report.page import render

CHROMIUM = shutil.which("chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--enable-logging=stderr", "--v=0"),
)
HOOK = """<script>
window.faults = [];
addEventListener("error", (event) => faults.push(event.message || "a resource did not load"), true);
addEventListener("securitypolicyviolation", (event) => faults.push("blocked " + event.blockedURI));
</script>"""
PROBE = """<script>
addEventListener("load", () => {
  const page = document.documentElement, seen = (one) => one.getClientRects().length > 0;
  const outside = [...document.querySelectorAll("main *, header *, footer *")].filter((one) =>
    seen(one) && !one.closest(".scroll, pre, .unseen, svg") && one.getBoundingClientRect().right > innerWidth + 1);
  parent.document.body.dataset.probe = [
    "overflow=" + (page.scrollWidth - page.clientWidth), "width=" + innerWidth, "outside=" + outside.length,
    "pictures=" + [...document.querySelectorAll("svg.picture")].filter(seen).length,
    "flips=" + [...document.querySelectorAll(".flip")].filter(seen).length, "faults=" + faults.join("|")].join(";");
});
</script>"""
FRAME = """<!doctype html><meta charset="utf-8">
<iframe style="border:0" width={width} height=2000 srcdoc="{page}"></iframe>"""
ACT = """<script>
addEventListener("load", () => {
  document.querySelector('[data-change="worse"]').click();
  document.getElementById("flip-words").value = "BREAD";
  document.getElementById("flip-words").dispatchEvent(new Event("input"));
  document.getElementById("flip-more").click();
});
</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the browser `chromium` is not installed")


def look(folder: Path, page: str, width: int, act: str = "") -> tuple[dict[str, str], str]:
    """Open a probed copy of the page; return the probe's findings and the browser's log."""
    probed = page.replace("<head>", f"<head>{HOOK}", 1).replace("</body>", f"{act}{PROBE}</body>")
    frame = (
        folder / "frame.html"
    )  # a window is never narrower than 500 pixels, a frame is as narrow as it is told
    frame.write_text(FRAME.format(width=width, page=escape(probed)), encoding="utf-8")
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", "--window-size=1400,2400"]
    done = subprocess.run(
        [*command, "--dump-dom", frame.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r'<body data-probe="([^"]*)"', done.stdout)
    assert found, f"the page did not finish: {done.stderr[-2000:]}"
    return dict(part.split("=", 1) for part in unescape(found[1]).split(";")), done.stderr


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize(
    "kwargs",
    [{}, {"granularity": "weight"}, {"kind": "regression", "pair": True, "layers": 24, "heads": 16}],
    ids=["unit", "weight", "regression"],
)
def test_it_renders_without_error_and_fits(tmp_path: Path, kwargs: dict[str, Any], width: int) -> None:
    result = example_result(**kwargs)
    result["flips"][0]["text"] = "unbroken" * 60
    result["command"] += " --text-column " + "x" * 300
    probe, log = look(tmp_path, render(result), width)
    assert probe["width"] == str(width)
    assert (probe["overflow"], probe["outside"], probe["faults"]) == ("0", "0", "")
    assert int(probe["pictures"]) == 8  # four cards, layers, search, speed, curve: one width of each
    assert probe["flips"] == "12"
    assert "CONSOLE" not in log


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("why", ["budget", "knee"])
def test_a_climb_fits_with_all_of_its_steps_open(tmp_path: Path, why: str, width: int) -> None:
    result = example_climb(why)
    result["ladder"]["rungs"][0]["note"] = "A note of some length, as one may stand here. " * 3
    result["ladder"]["rungs"][1]["words"] = "unbroken" * 30
    probe, log = look(tmp_path, render(result).replace("<details>", "<details open>"), width)
    assert (probe["overflow"], probe["outside"], probe["faults"]) == ("0", "0", "")
    assert int(probe["pictures"]) == 9  # those of any run and the ladder
    assert "CONSOLE" not in log


@pytest.mark.parametrize("width", [1280, 400])
def test_a_budget_fits(tmp_path: Path, result: dict[str, Any], width: int) -> None:
    limits = {
        "pruning_ratio": (0.5, 0.4981, None, None, True),
        "speedup": (8.0, 5.51, 5.3, 5.7, False),
        "latency_ms": (1234.5678, 1150.1, 1100.2, 1200.4, True),
        "size_mb": (12345.678, 69.6, None, None, True),
        "max_drop_points": (0.5, None, None, None, False),
    }
    budget = example_budget("onnxruntime", batch=1024, **limits)
    probe, log = look(tmp_path, render(result | {"budget": budget}), width)
    assert (probe["overflow"], probe["outside"], probe["faults"]) == ("0", "0", "")
    assert "CONSOLE" not in log


def test_the_flips_are_filtered_and_searched(tmp_path: Path, result: dict[str, Any]) -> None:
    fits = [
        flip
        for flip in result["flips"]
        if flip["dense_answer"] == flip["label"] and "bread" in f"{flip['text']}".lower()
    ]
    assert 0 < len(fits) < 12
    probe, log = look(tmp_path, render(result), 1280, act=ACT)
    assert probe["flips"] == str(len(fits))
    assert probe["faults"] == ""
    assert "CONSOLE" not in log


def test_the_probe_sees_faults(tmp_path: Path, result: dict[str, Any]) -> None:
    broken = '<script>console.error("x"); nothing.here();</script><img src="none.png">'
    broken += '<div style="width:3000px">wide</div>'
    probe, log = look(tmp_path, render(result).replace("</main>", f"{broken}</main>"), 400)
    assert int(probe["overflow"]) > 0
    assert "nothing is not defined" in probe["faults"]
    assert "blocked" in probe["faults"]
    assert "CONSOLE" in log


def test_a_bare_run_renders(tmp_path: Path, bare_result: dict[str, Any]) -> None:
    probe, _ = look(tmp_path, render(bare_result), 400)
    assert (probe["overflow"], probe["faults"]) == ("0", "")
    assert probe["pictures"] == "4"  # three cards and the layers


@pytest.mark.parametrize("width", [1280, 400])
def test_hostile_names_fit(tmp_path: Path, result: dict[str, Any], width: int) -> None:
    word = "unbroken" * 60
    evil = '</script><script>nothing.here()</script>"><img src=x onerror=alert(1)>\u202e'
    result["task"].update(name=evil + word, labels=[evil + word, word])
    result.update(model=f"/home/{evil}/{word}", run=f"/home/{evil}/{word}")
    for flip in result["flips"]:
        flip.update(text=evil + word)
    result["machine"]["cpu"] = evil + word
    probe, log = look(tmp_path, render(result), width)
    assert (probe["overflow"], probe["outside"], probe["faults"]) == ("0", "0", "")
    assert "CONSOLE" not in log
