import subprocess
import sys

import pytest

from leanformer.errors import LeanformerError
from leanformer.export.exporters import export_onnx, export_openvino
from leanformer.export.extras import PACKAGES, require
from leanformer.export.runtimes import load_runner


@pytest.mark.parametrize(
    ("extra", "package"), [(extra, name) for extra in PACKAGES for name in PACKAGES[extra]]
)
def test_absent_package_names_the_extra(monkeypatch, extra, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(LeanformerError, match=rf'{package}.*pip install "leanformer\[{extra}\]"'):
        require(extra)


def test_only_what_is_asked_for_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    require("openvino", "openvino")


def test_absence_is_told_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    for export in (export_onnx, export_openvino):
        with pytest.raises(LeanformerError, match="pip install"):
            export(tmp_path / "no-such-model", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("runtime", "package"), [("onnxruntime", "onnxruntime"), ("openvino", "openvino")])
def test_absent_runtime_is_told(monkeypatch, tmp_path, runtime, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(LeanformerError, match=package):
        load_runner(tmp_path, runtime)


def test_openvino_may_not_report_its_use():
    # In a process of its own: another test's import of the telemetry would stay in this one.
    code = (
        "from leanformer.export.extras import require\n"
        "require('openvino')\n"
        "import openvino_telemetry\n"  # it is installed: NNCF and OpenVINO bring it
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "import of openvino_telemetry halted" in ended.stderr
