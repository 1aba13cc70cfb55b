import numpy as np
import pytest

from leanformer.measure import memory
from leanformer.measure.memory import own_peak_mb, peak_mb


def test_the_peak_is_read_from_the_kernel(tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t 9000 kB\nVmHWM:\t    2000 kB\nVmRSS:\t 1000 kB\n")
    assert own_peak_mb(status) == pytest.approx(2.048)


def test_without_the_kernels_file_the_process_is_asked(tmp_path):
    assert own_peak_mb(tmp_path / "none") == pytest.approx(own_peak_mb(), rel=0.5)


def test_a_process_that_fails_is_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(memory, "say", said.append)
    batch = {"input_ids": np.ones((1, 3), dtype=np.int64)}
    assert peak_mb(tmp_path / "none.onnx", "onnxruntime", "fp32", 1, batch) is None
    assert peak_mb(tmp_path / "none.onnx", "onnxruntime", "fp32", 1, batch, "first-token") is None
    line, of_a_form = said
    assert of_a_form.startswith("the memory of onnxruntime fp32 first-token could not be measured: ")
    assert line.startswith("the memory of onnxruntime fp32 could not be measured: ")
    assert "none.onnx" in line
