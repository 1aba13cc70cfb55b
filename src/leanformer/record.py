"""The facts of a run as one dictionary, result.json: all that the report and the model card read."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from leanformer import __version__
from leanformer.budget import BIAS, FLIPS
from leanformer.encoders.forms import PLAIN
from leanformer.measure.contract import CONTRACT_FILE, contract_of
from leanformer.report.card import model_card
from leanformer.report.page import write_report
from leanformer.report.runtimes import kept_rows
from leanformer.run import Facts, Run
from leanformer.search.space import TOLERANCE

if TYPE_CHECKING:
    from leanformer.encoders.view import EncoderView
    from leanformer.job import Job
    from leanformer.structure.masks import Masks
    from leanformer.tasks.predict import Score
    from leanformer.tasks.task import Task

SAME_SCORE = 1e-5  # a thousandth of a point: the rounding of another runtime


def layer_facts(view: EncoderView, masks: Masks) -> list[Facts]:
    """Return what is left of each layer.

    Args:
        view: The dense model.
        masks: What was kept, by (layer, kind); a part without a mask is whole.

    Returns:
        One dictionary a layer: heads and neurons, before and after, for weights the share removed from each matrix,
        and where tokens leave what share of a text's is left behind the layer's attention.
    """
    from leanformer.structure.cost import token_shares
    from leanformer.structure.kept import settled

    masks = settled(view, masks)  # so that a head without values counts as gone
    layers = [_one_layer(view, masks, layer) for layer in range(view.n_layers)]
    shares = token_shares(view, masks)
    return (
        layers
        if min(shares) == 1
        else [{**one, "tokens": share} for one, share in zip(layers, shares, strict=True)]
    )


def _one_layer(view: EncoderView, masks: Masks, layer: int) -> Facts:
    heads, width = view.heads(layer), view.width(layer)
    head_mask, neuron_mask = masks.get((layer, "head")), masks.get((layer, "neuron"))
    dropped = (layer, "layer") in masks and not masks[layer, "layer"].any()
    head_kept = [1] * heads if head_mask is None else [int(value > 0) for value in head_mask.tolist()]
    neurons = width if neuron_mask is None else int((neuron_mask > 0).sum())
    if dropped:
        head_kept, neurons = [0] * heads, 0
    facts: Facts = {
        "layer": layer,
        "heads": sum(head_kept),
        "dense_heads": heads,
        "neurons": neurons,
        "dense_neurons": width,
        "head_kept": head_kept,
        "neuron_kept_share": neurons / width if width else 0.0,
    }
    removed = {
        name: float((masks[layer, name] == 0).float().mean())
        for name in view.matrices(layer)
        if (layer, name) in masks
    }
    return {**facts, "matrix_ratio": removed} if removed else facts


def model_facts(view: EncoderView, score: Score, size_mb: float) -> Facts:
    """Return the facts of one model: "dense" or "compressed" in result.json.

    Args:
        view: The model.
        score: Its score on the validation rows.
        size_mb: Its size on disk.

    Returns:
        A dictionary.
    """
    return {
        "score": score.value,
        "low": score.low,
        "high": score.high,
        "extra": score.extra,
        "encoder_parameters": view.encoder_parameters(),
        "parameters": sum(parameter.numel() for parameter in view.model.parameters()),
        "size_mb": size_mb,
    }


def speed_facts(rows: list[Facts]) -> Facts:
    """Return the speed-up of the compressed model in PyTorch fp32, in the plain form, by batch size."""
    own = [
        row
        for row in rows
        if (row["model"], row["runtime"], row["precision"]) == ("compressed", "torch", "fp32")
        and row.get("form", PLAIN) == PLAIN
    ]
    return {
        "speedup": {str(row["batch"]): row["ratio"] for row in own},
        "speedup_interval": {str(row["batch"]): [row["ratio_low"], row["ratio_high"]] for row in own},
    }


def result_of(run: Run, task: Task, teacher: Facts, compress: Facts, proof: Facts) -> dict[str, Any]:
    """Put the facts of the stages together.

    Args:
        run: The run.
        task: Its task.
        teacher: Facts of the teacher's stage.
        compress: Facts of the compression's stage.
        proof: Facts of the measurements, with the keys of result.json.

    Returns:
        The content of result.json.
    """
    job = run.job
    named = asdict(task)
    training = {**compress["training"], "teacher_seconds": teacher.get("seconds", 0.0)}
    return {
        "run": str(run.folder),
        "version": __version__,
        "created": datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        "command": job.command(run.folder),
        "model": job.model,
        "method": job.method,
        "granularity": job.granularity,
        "task": {key: named[key] for key in ("name", "kind", "labels", "pair")},
        "metric": task.metric,
        "seed": job.seed,
        "pruning_ratio": job.budget.pruning_ratio or compress["pruning_ratio_reached"],
        "budget": budget_facts(job, compress, proof),
        "pruning_ratio_reached": compress["pruning_ratio_reached"],
        "macs_share": compress.get("macs_share"),  # runs of older versions did not count
        "layers": compress["layers"],
        "door": compress["door"],
        "search": compress["search"],
        "training": training,
        **{
            key: compress[key]
            for key in ("heads", "attack", "exits", "tasks", "ladder", "serve")
            if compress.get(key) is not None
        },
        **proof,
        "stages": run.stages(),
    }


def budget_facts(job: Job, compress: Facts, proof: Facts) -> Facts:
    """Return the constraints of a job beside what was measured.

    The measured figure decides whether a limit is met; its interval, where it has one, stands beside it.

    Args:
        job: The job.
        compress: Facts of the compression's stage.
        proof: Facts of the measurements.

    Returns:
        Where the model is served (the target, or what auto chose), and under "limits" one dictionary a constraint:
        `name`, `asked`, `measured` (None where the target was not measured, or its file was not kept), `low` and
        `high` (None where there is no interval) and `met`.
    """
    served = {**asdict(job.target), **(compress.get("serve") or {})}
    own = [row for row in kept_rows(proof) if _is_served(row, served)]
    row: Facts = next((row for row in own if row["batch"] == job.target.batch), {})
    file_mb = row.get("size_mb") if compress.get("serve") else proof["compressed"]["size_mb"]
    measured = {
        "pruning_ratio": (compress["pruning_ratio_reached"], None, None),
        "speedup": tuple(row.get(key) for key in ("ratio", "ratio_low", "ratio_high")),
        "latency_ms": tuple(row.get(key) for key in ("latency_ms", "latency_low", "latency_high")),
        "size_mb": (file_mb, None, None),
        "max_drop_points": _drop(served, own, proof),
        "macs_share": (compress.get("macs_share"), None, None),
        **{name: _changed(name, proof) for name in (FLIPS, BIAS)},
    }
    limits = [
        _limit(name, asked, *measured[name])
        for name, asked in asdict(job.budget).items()
        if asked is not None
    ]
    return {**served, "limits": limits}


def _is_served(row: Facts, target: Facts) -> bool:
    """Whether a row of the bench is of the compressed model as the target serves it."""
    served = ("compressed", target["runtime"], target["precision"], target.get("form") or PLAIN)
    return (row["model"], row["runtime"], row["precision"], row.get("form", PLAIN)) == served


def _drop(target: Facts, rows: list[Facts], proof: Facts) -> tuple[float | None, float | None, float | None]:
    """Return the points lost where the model is served; an int8 file answers otherwise than PyTorch in float32."""
    in_torch = (proof["drop_points"], *proof["drop_interval"])
    if (target["runtime"], target["precision"]) == ("torch", "fp32"):
        return in_torch
    if not rows:
        return None, None, None
    score = rows[0]["score"]
    if math.isclose(score, proof["compressed"]["score"], abs_tol=SAME_SCORE):
        return in_torch
    return 100 * (proof["dense"]["score"] - score), None, None


def _changed(name: str, proof: Facts) -> tuple[float | None, float | None, float | None]:
    """Return what a limit on changes is about, measured on held-out rows where the model is served."""
    one = (proof.get("limits") or {}).get(name) or {}
    return one.get("value"), one.get("low"), one.get("high")


def _limit(name: str, asked: float, value: float | None, low: float | None, high: float | None) -> Facts:
    at_least = {"pruning_ratio": TOLERANCE, "speedup": 0.0}  # the others are upper bounds
    met = value is not None and (value >= asked - at_least[name] if name in at_least else value <= asked)
    return {"name": name, "asked": asked, "measured": value, "low": low, "high": high, "met": met}


def write_record(run: Run, result: dict[str, Any]) -> Facts:
    """Write result.json, contract.json, the model card and report.html.

    Args:
        run: The run.
        result: Its facts.

    Returns:
        Where the page is.
    """
    run.write("result.json", json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    run.write(CONTRACT_FILE, contract_of(result).to_json())
    run.write("model/README.md", model_card(result))
    return {"page": str(write_report(run.folder))}
