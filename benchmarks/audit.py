"""Where does gender bias live in a model, and what did compression change of it? The audit, kept as JSON and picture.

    python benchmarks/audit.py MODEL --name minilm --scan WIKI --suite-data BIAS --threads 1
    python benchmarks/audit.py MODEL --name minilm-0.5 --against SMALL --data sst-2 --data-dir SST-2 --suite-data BIAS

MODEL and --against are model folders, the latter may be an exported file. Everything of `leanformer audit` goes into
results/audit/NAME.json, of a model alone with --flow. benchmarks/tables.py makes tables of it, and the picture of a
model alone. A finished one is not measured again.
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
from leanformer.tasks.load import DataSpec


def main() -> int:
    """Audit, and write JSON and picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model folder")
    parser.add_argument("--name", required=True, help="name of the result: results/audit/NAME.json")
    parser.add_argument("--against", help="another model folder or exported file, on the same items")
    parser.add_argument("--scan", type=Path, help="a large English text")
    parser.add_argument("--data", help="a task, whose texts are swapped")
    parser.add_argument("--data-dir", help="its folder, of a GLUE task")
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
        None if options.data is None else DataSpec(options.data, data_dir=options.data_dir),
        scan=options.scan,
        suite_data=options.suite_data,
        most=options.most,
        flow=options.scan is not None and options.against is None,
        threads=options.threads,
    )
    figures = {"name": options.name, "seconds": time.perf_counter() - started, **record}
    command = shlex.join(["python", "benchmarks/audit.py", *sys.argv[1:]])
    write_result(path, figures, 0, options.threads, command)
    print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
