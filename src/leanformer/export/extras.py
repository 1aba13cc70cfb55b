"""The optional packages behind runtimes and engines: one clear sentence where they are absent."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Literal

from leanformer.errors import LeanformerError

Extra = Literal["onnx", "openvino", "ray"]

# By extra, what `pip install "leanformer[extra]"` brings.
PACKAGES: dict[Extra, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "openvino": ("openvino", "nncf"),
    "ray": ("ray",),
}


# By runtime, the extra that brings it; PyTorch is always there.
EXTRA_OF: dict[str, Extra] = {"onnxruntime": "onnx", "openvino": "openvino"}


def has_runtime(runtime: str) -> bool:
    """Whether the packages behind a runtime are installed, those that quantise for it too; nothing is imported."""
    return runtime not in EXTRA_OF or all(find_spec(name) is not None for name in PACKAGES[EXTRA_OF[runtime]])


def require(extra: Extra, *packages: str) -> None:
    """Import optional packages, or say which extra brings them.

    Args:
        extra: The extra's name.
        *packages: Those of its packages that are needed; all of them by default.

    Raises:
        LeanformerError: If a package is not installed, or does not import.
    """
    if extra == "openvino":
        # OpenVINO and NNCF report their use over the network when they are imported, unless this package is
        # missing. Nothing of ours uses the network unless the user names a hub id.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    for package in packages or PACKAGES[extra]:
        try:
            import_module(package)
        except ImportError as error:
            raise LeanformerError(
                f"the package '{package}' can not be imported ({error}): install what it needs with "
                f'pip install "leanformer[{extra}]"'
            ) from error
