"""What does the demo give on this machine? Runs `leanformer demo` and keeps its figures for the README's table.

python benchmarks/demo.py               # into .bench/demo, or goes on there
python benchmarks/demo.py --run FOLDER  # takes the figures of a demo that ran already, at this commit
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from grid import RESULTS, SCRATCH, commit

KEPT = (
    *(
        "method",
        "granularity",
        "task",
        "metric",
        "n",
        "seed",
        "pruning_ratio",
        "pruning_ratio_reached",
        "dense",
        "compressed",
    ),
    *(
        "drop_points",
        "drop_interval",
        "test",
        "speedup",
        "speedup_interval",
        "layers",
        "search",
        "training",
        "bench",
    ),
    *("exports", "flips_total", "stages", "machine", "created", "version"),
)


def main() -> int:
    """Run the demo, and keep its figures without texts and paths."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a finished demo run")
    run = parser.parse_args().run
    if run is None:
        run = SCRATCH / "demo"
        subprocess.run(
            [sys.executable, "-m", "leanformer", "demo", "--resume", "--out", str(run)], check=True
        )
    facts = json.loads((run / "result.json").read_text(encoding="utf-8"))
    kept = {"command": "make demo", "commit": commit(), **{name: facts[name] for name in KEPT}}
    (RESULTS / "demo.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
