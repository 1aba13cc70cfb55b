"""What does merging tokens cost a model of sentence embeddings, and what does it bring? MiniLM on STS-B, by ratio.

    python benchmarks/token_merge.py all-MiniLM-L6-v2 --data ../shared/data/glue

MODEL is a folder of sentence-transformers. Nothing is trained; all models are timed together, in every runtime.
Scores are Spearman correlations on the validation pairs, which nothing was chosen on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from grid import RESULTS, SCRATCH, write_result
from side_by_side import DENSE, SEED, compressed, timed

RATIOS = (0.1, 0.2, 0.3)
LIMIT_S = 120.0  # of timing, a batch size


def main() -> int:
    """Merge at each ratio, time, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a folder of sentence-transformers")
    parser.add_argument("--data", required=True, help="folder with the GLUE tasks")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    home = SCRATCH / "token-merge"
    about = ["--data", "sts-b", "--data-dir", str(Path(options.data) / "STS-B"), "--kind", "embedding"]
    about += ["--threads", str(options.threads)]
    runs = {
        f"{ratio:g}": compressed(
            options.model,
            home / f"{ratio:g}",
            [*about, "--method", "token-merge", "--pruning-ratio", f"{ratio:g}"],
        )
        for ratio in RATIOS
    }
    models = {DENSE: Path(options.model), **{name: home / name / "model" for name in runs}}
    figures = {"model": Path(options.model).name, "runs": runs, "bench": timed(models, about, LIMIT_S)}
    said = " ".join(["python", "benchmarks/token_merge.py", *sys.argv[1:]])
    write_result(RESULTS / "token_merge.json", figures, SEED, options.threads, said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
