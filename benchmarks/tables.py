"""Write the tables of the docs from the JSON in benchmarks/results/, between their markers, and the docs' pictures.

python benchmarks/tables.py          # rewrites README.md, docs/*.md and docs/*.svg in place
python benchmarks/tables.py --check  # exits 1 where a document and its figures differ
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import ae_bert_tables
import audit_tables
import base_size_tables
import debias_tables
import dynamic_picture
import dynamic_tables
import league_tables
import pruning_tables
import speed_tables
from markdown_tables import ROOT

PAGES = (
    *("ae-bert.md", "audit.md", "debias.md", "dynamic.md", "embeddings.md", "league.md", "pruning.md"),
    "speed.md",
)
DOCUMENTS = (ROOT / "README.md", *(ROOT / "docs" / page for page in PAGES))
MODULES = (
    *(ae_bert_tables, audit_tables, base_size_tables, debias_tables, dynamic_tables, league_tables),
    *(pruning_tables, speed_tables),
)
TABLES = {name: make for module in MODULES for name, make in module.TABLES.items()}


def filled(text: str) -> str:
    """Return a document with each marked table made anew."""
    pattern = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", flags=re.S)
    return pattern.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", text)


def made() -> dict[Path, str]:
    """Return what every document and picture should be."""
    documents = {path: filled(path.read_text(encoding="utf-8")) for path in DOCUMENTS}
    return {**documents, **audit_tables.pictures(), **dynamic_picture.pictures()}


def main() -> int:
    """Rewrite the documents, or check them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 where a document is stale"
    )
    check = parser.parse_args().check
    stale = [path for path, new in made().items() if not path.exists() or path.read_text("utf-8") != new]
    for path in stale if not check else ():
        path.write_text(made()[path], encoding="utf-8")
    print(f"{'stale' if check else 'rewritten'}: {', '.join(path.name for path in stale) or 'none'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
