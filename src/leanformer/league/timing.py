"""The clock of a league: all models side by side, one interleaved run a batch size, each kept once it is done."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer.encoders.forms import PLAIN
from leanformer.errors import LeanformerError
from leanformer.export.variants import ensure_artefact
from leanformer.exports import RUNTIME_OF, installed
from leanformer.league.cells import Played
from leanformer.league.grid import League
from leanformer.measure.bench import BATCHES, ROUNDS, Variant, bench
from leanformer.progress import say
from leanformer.proof import QUICK_LIMIT_S, QUICK_ROUNDS
from leanformer.reading import Reading, ready_model
from leanformer.report.pages import write_whole
from leanformer.run import Facts

if TYPE_CHECKING:
    from leanformer.exports import Examples

DENSE = "dense"
LIMIT_A_MODEL_S = 30.0  # as much as each of the two models of a run gets
DIGEST = 8  # hexadecimal digits
INT8 = ("onnxruntime", "int8")
Timing = dict[int, list[Facts]]
"""By batch size: BenchRow objects as dicts."""


def time_models(league: League, dense: Path, played: Sequence[Played], out: Path) -> Timing:
    """Time the dense model and one of each method: that of the first seed that came to an end.

    Seeds differ in which units are gone, hardly in how many, so that a model of each would cost hours and tell
    little. Exported files stay in `exports`; the rows of a batch size are in `timing`, and hold as long as weights
    and variants are the same.

    Args:
        league: Threads, precisions, seconds.
        dense: The dense model's folder.
        played: The cells.
        out: The league's folder.

    Returns:
        The rows, dense first.

    Raises:
        LeanformerError: If a model can not be loaded. One that can not be exported is timed in what is left.
    """
    firsts = first_runs(played)
    models = {DENSE: dense, **{name: one.folder / "model" for name, one in firsts.items()}}
    variants = _variants(league.int8)
    digests = {name: _digest(folder) for name, folder in models.items()}
    wanted: Facts = {"models": digests, "variants": variants, "threads": league.job.threads}
    n = next((one.record["n"] for one in firsts.values() if one.record), 0)
    sizes = [size for size in BATCHES if size <= n]
    found = {size: _kept(_file(out, size), wanted) for size in sizes}
    for size in (size for size, rows in found.items() if rows is not None):
        say(f"batch {size}: timed before")
    if missing := [size for size, rows in found.items() if rows is None]:
        with tempfile.TemporaryDirectory(prefix="leanformer-") as scratch:
            examples = _examples(league, dense, Path(scratch) / "dense")
            for size in missing:
                say(
                    f"timing {len(models)} models, {len(models) * len(variants)} variants in all, batch {size}"
                )
                homes = {name: out / "exports" / f"{name}-{digest}" for name, digest in digests.items()}
                rows = _timed(league, models, homes, variants, examples, size)
                _file(out, size).parent.mkdir(exist_ok=True)
                write_whole(_file(out, size), json.dumps({**wanted, "rows": rows}, ensure_ascii=False) + "\n")
                found[size] = rows
    return {size: rows for size, rows in found.items() if rows is not None}


def first_runs(played: Sequence[Played]) -> dict[str, Played]:
    """Return by method the run of its first seed that came to an end."""
    firsts: dict[str, Played] = {}
    for one in played:
        if one.record is not None:
            firsts.setdefault(one.cell.method.name, one)
    return firsts


def _variants(int8: bool) -> list[list[str]]:
    """List runtimes and precisions; those that are not installed are said, not silently left out."""
    for folder, runtime in RUNTIME_OF.items():
        if not installed(folder):
            say(f'{runtime} is not timed: install it with pip install "leanformer[{folder}]"')
    runtimes = ["torch", *(runtime for folder, runtime in RUNTIME_OF.items() if installed(folder))]
    in_int8 = [list(INT8)] if int8 and INT8[0] in runtimes else []
    return [[runtime, "fp32"] for runtime in runtimes] + in_int8


def _examples(league: League, dense: Path, scratch: Path) -> Examples:
    """Encode the rows that are timed and scored: the same for all models, whose tokenizer is the dense one's."""
    job = league.job
    reading = Reading(job.data, job.truncate, job.max_tokens, job.threads, job.trust_remote_code)
    return ready_model(str(dense), reading.load(str(dense)), reading, scratch)[1]


def _timed(
    league: League,
    models: Mapping[str, Path],
    homes: Mapping[str, Path],
    variants: list[list[str]],
    examples: Examples,
    size: int,
) -> list[Facts]:
    job = league.job
    usual_s = QUICK_LIMIT_S if job.quick else LIMIT_A_MODEL_S * len(models)
    wanted: list[Variant] = [(runtime, precision, PLAIN) for runtime, precision in variants]
    rows = bench(
        models,
        examples.validation,
        examples.tokenizer,
        examples.task,
        batches=[size],
        threads=job.threads,
        rounds=QUICK_ROUNDS if job.quick else ROUNDS,
        seed=job.seed,
        artefacts=homes,
        limit_s=usual_s if league.limit_s is None else league.limit_s,
        variants={
            name: [one for one in wanted if _exported(folder, homes[name], one, examples, name)]
            for name, folder in models.items()
        },
    )
    return [asdict(row) for row in rows]


def _exported(folder: Path, home: Path, variant: Variant, examples: Examples, name: str) -> bool:
    """Export a model for a variant, unless it is; say so where that can not be done: the others go on without it."""
    runtime, precision, form = variant
    if runtime == "torch":
        return True
    try:
        ensure_artefact(folder, home, runtime, precision, examples.tokenizer, examples.validation, form=form)
    except LeanformerError as refused:
        say(f"{name} is not timed in {runtime} {precision}: {refused}")
        return False
    return True


def untimed(timing: Timing) -> list[Facts]:
    """List the variants in which the dense model was timed and another one was not, because its export was refused.

    Args:
        timing: The clock's rows.

    Returns:
        `method`, `runtime` and `precision` of each.
    """
    rows = [row for rows in timing.values() for row in rows]
    by_model: dict[str, set[tuple[str, str]]] = {row["model"]: set() for row in rows}
    for row in rows:
        by_model[row["model"]].add((row["runtime"], row["precision"]))
    return [
        {"method": name, "runtime": runtime, "precision": precision}
        for name, found in by_model.items()
        for runtime, precision in sorted(by_model[DENSE] - found)
    ]


def _digest(folder: Path) -> str:
    """Return what tells a model's weights from those of another one."""
    with (folder / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST]


def _file(out: Path, size: int) -> Path:
    return out / "timing" / f"batch-{size}.json"


def _kept(path: Path, wanted: Facts) -> list[Facts] | None:
    """Return the rows of a finished run of the clock; None where there is none of these models and variants."""
    if not path.is_file():
        return None
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    rows = kept.pop("rows")
    return rows if kept == wanted else None
