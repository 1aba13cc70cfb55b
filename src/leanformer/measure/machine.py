"""The facts of this machine that a speed depends on; figures are worth nothing without them."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from leanformer.export.cpu import cpu, usable_threads
from leanformer.gpu import fastest_device

LIBRARIES = ("leanformer", "torch", "transformers", "onnxruntime", "openvino", "nncf", "numpy")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def machine(threads: int | None = None) -> dict[str, Any]:
    """Describe this machine.

    Args:
        threads: The number of threads used for measuring; by default as many as this process may use.

    Returns:
        JSON-ready facts: `cpu`, `architecture`, `flags` (avx2, avx512, vnni, bf16, amx), `cores`, `threads`,
        `governor` (None where the kernel does not tell), `load` (1, 5 and 15 minutes; None where unknown),
        `system` and `versions`; `gpu` where there is one: models train on it.
    """
    processor, device = cpu(), fastest_device()
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    return {
        "cpu": processor.name,
        "architecture": processor.architecture,
        "flags": list(processor.features),
        **gpu,
        "cores": usable_threads(),
        "threads": usable_threads() if threads is None else threads,
        "governor": GOVERNOR.read_text(encoding="utf-8").strip() if GOVERNOR.is_file() else None,
        "load": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release()}",
        "versions": {"python": platform.python_version(), **library_versions()},
    }


def library_versions() -> dict[str, str]:
    """Return the versions of the installed libraries that a figure may depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # an extra that is not installed
    return found
