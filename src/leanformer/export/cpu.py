"""What this machine's processor can do, as far as it matters to speed and to int8."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
# By what people call it, the kernel's names for it (x86 and Arm).
FEATURES = {
    "avx2": ("avx2",),
    "avx512": ("avx512f",),
    "vnni": ("avx512_vnni", "avx_vnni"),
    "bf16": ("avx512_bf16", "bf16"),
    "amx": ("amx_tile",),
    "dot": ("asimddp",),
}
X86 = ("x86_64", "AMD64", "i686")


@dataclass(frozen=True)
class Cpu:
    """A processor.

    Attributes:
        name: The vendor's name for it.
        architecture: For example x86_64 or aarch64.
        features: Those of `FEATURES` that it has.
    """

    name: str
    architecture: str
    features: tuple[str, ...]

    @property
    def saturates_int8(self) -> bool:
        """Whether products of unsigned by signed bytes may overflow their 16-bit sums: x86 without VNNI."""
        return self.architecture in X86 and "vnni" not in self.features


def cpu(info: Path = CPU_INFO) -> Cpu:
    """Read the processor's name and features.

    Args:
        info: The kernel's description of the processors; where there is none, no feature is reported.

    Returns:
        The processor.
    """
    fields: dict[str, str] = {}
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip().lower(), value.strip())
    flags = set((fields.get("flags") or fields.get("features") or "").split())
    return Cpu(
        name=fields.get("model name") or platform.processor() or platform.machine(),
        architecture=platform.machine(),
        features=tuple(name for name, known in FEATURES.items() if flags.intersection(known)),
    )


def usable_threads() -> int:
    """Count the cores that this process may use; containers often grant fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
