"""Where does gender bias live in a model, and what did compression change of it? The audit, kept as JSON and picture.

    python benchmarks/audit.py MODEL --name minilm --scan WIKI [--against FOLDER --suite-data BIAS --threads 1]

MODEL and --against are model folders. Everything of `leanformer audit --flow` goes into results/audit/NAME.json, of
which benchmarks/tables.py makes tables, and the picture of a model alone. A finished one is not measured again.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from audit_tables import FOLDER
from grid import write_result
from leanformer.api import audit


def main() -> int:
    """Audit, and write JSON and picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model folder")
    parser.add_argument("--name", required=True, help="name of the result: results/audit/NAME.json")
    parser.add_argument("--against", help="another model folder, on the same items")
    parser.add_argument("--scan", type=Path, required=True, help="a large English text")
    parser.add_argument("--suite-data", type=Path, help="folder of the public data sets")
    parser.add_argument("--most", type=int, help="items a public data set at most")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    path = FOLDER / f"{options.name}.json"
    if path.exists():
        print(f"{path} is there already")
        return 0
    started = time.perf_counter()
    record = audit(
        options.model,
        options.against,
        scan=options.scan,
        suite_data=options.suite_data,
        most=options.most,
        flow=True,
        threads=options.threads,
    )
    figures = {"name": options.name, "seconds": time.perf_counter() - started, **record}
    command = shlex.join(["python", "benchmarks/audit.py", *sys.argv[1:]])
    write_result(path, figures, 0, options.threads, command)
    print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
