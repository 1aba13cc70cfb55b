"""Serving what was exported: numpy, and ONNX Runtime or OpenVINO; neither PyTorch nor transformers."""

from leanformer.runtime.cascade import Cascade

__all__ = ["Cascade"]
