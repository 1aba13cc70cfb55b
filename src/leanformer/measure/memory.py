"""Peak memory of one variant: a process of its own loads it, answers one batch, and looks at itself.

Run as `python -m leanformer.measure.memory`, with the order as JSON on standard input. Nothing heavy is imported
here: an exported file is run without PyTorch, and must not be charged with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.progress import say

if TYPE_CHECKING:
    from leanformer.export.runtimes import Runner

STATUS = Path("/proc/self/status")
BYTES_PER_KIB, BYTES_PER_MB = 1024, 1_000_000


def peak_mb(
    source: str | Path,
    runtime: str,
    precision: str,
    threads: int,
    batch: Mapping[str, np.ndarray],
    form: str = "",
) -> float | None:
    """Measure the peak resident memory of a process that loads and runs only this variant.

    It is the whole process: Python, the runtime's libraries (for torch also transformers), the weights, what loading
    needs on the way (bf16 is cast from float32), and one answered batch.

    Args:
        source: For torch a model folder (or hub id), else the exported file.
        runtime: "torch", "onnxruntime" or "openvino".
        precision: One that the runtime has.
        threads: Threads of the runtime.
        batch: What is answered, int64 arrays of (batch, tokens).
        form: Which of `leanformer.encoders.forms.FORMS`; an exported file is taken in the form it has.

    Returns:
        Megabytes of 10^6 bytes; None, and a sentence for the user, where the process failed.
    """
    order = {
        "source": str(source),
        "runtime": runtime,
        "precision": precision,
        "threads": threads,
        "form": form,
    }
    text = json.dumps({**order, "batch": {name: ids.tolist() for name, ids in batch.items()}})
    done = subprocess.run(
        [sys.executable, "-m", __name__], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return float(done.stdout.splitlines()[-1])  # libraries may have printed above
    last = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1]
    say(f"the memory of {' '.join(filter(None, (runtime, precision, form)))} could not be measured: {last}")
    return None


def own_peak_mb(status: Path = STATUS) -> float:
    """Return the peak resident memory of this process since its program was started.

    On Linux VmHWM, since `ru_maxrss` there also counts the parent's memory between fork and exec; elsewhere
    `ru_maxrss`.

    Args:
        status: The kernel's description of this process.

    Returns:
        Megabytes of 10^6 bytes.
    """
    if status.is_file():
        lines = status.read_text(encoding="utf-8").splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
        return kib * BYTES_PER_KIB / BYTES_PER_MB
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else BYTES_PER_KIB) / BYTES_PER_MB


def _load(order: Mapping[str, Any]) -> Runner:
    """Load the variant, an exported file without what only training needs."""
    from leanformer.export.extras import require
    from leanformer.export.runtimes import OnnxRunner, OpenVinoRunner, load_runner

    source, precision, threads = order["source"], order["precision"], order["threads"]
    if order["runtime"] == "onnxruntime":
        return OnnxRunner(Path(source), precision, threads)
    if order["runtime"] == "openvino":
        require("openvino", "openvino")
        return OpenVinoRunner(Path(source), precision, threads)
    return load_runner(source, order["runtime"], precision, threads, order["form"])


def main() -> None:
    """Be the process that is measured."""
    order = json.load(sys.stdin)
    runner = _load(order)
    runner({name: np.asarray(ids, dtype=np.int64) for name, ids in order["batch"].items()})
    sys.stdout.write(f"{own_peak_mb()}\n")


if __name__ == "__main__":
    main()
