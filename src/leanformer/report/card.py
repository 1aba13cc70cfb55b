"""The model card: the README.md of the model folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from leanformer.report import numbers
from leanformer.report.bias import bias_sentence
from leanformer.report.budget import budget_line
from leanformer.report.loading import doors, pipeline_of
from leanformer.report.method import method_words
from leanformer.report.served import nothing_removed, serve_line
from leanformer.report.words import verdict

_HUB_METRICS = {"matthews": "matthews_correlation", "pearson": "pearsonr", "spearman": "spearmanr"}
_HUB_METRICS |= {
    "span-f1": "f1",
    "span-precision": "precision",
    "span-recall": "recall",
}  # the hub's are of spans
_HUB_METRICS |= {"token-accuracy": "accuracy", "answer-f1": "f1", "exact-match": "exact_match"}


def model_card(result: dict[str, Any]) -> str:
    """Write the model card from the run's figures.

    Args:
        result: The content of result.json; `model` (the dense model's id) and `license` are optional.

    Returns:
        Markdown with YAML front matter.
    """
    said = verdict(result)
    notes = "\n".join(f"- {note}" for note in said.notes)
    parts = [
        f"---\n{front_matter(result)}\n---",
        f"# {_cell(result['task']['name'])}, compressed",
        said.headline,
        serve_line(result) if result.get("ladder") else "",
        notes,
        "## Measured",
        _table(result),
        f"Score in points on {numbers.count(result['n'])} validation rows; 95% bootstrap intervals. Speed is that of "
        "the model against the original in one interleaved run on the machine below.",
        budget_line(result),
        bias_sentence(result["bias"]) if result.get("bias") else "",
        "## How to load it",
        *(
            f"{door.name[:1].upper()}{door.name[1:]}:\n\n```python\n{door.code}\n```"
            for door in doors(result, ".")
        ),
        "## How it was made",
        method_words(result),
        f"{_removed(result)}, seed {result['seed']}, leanformer {result['version']}.",
        f"```\n{result['command']}\n```",
        _machine_words(result.get("machine") or {}),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


REMOVABLE = {
    "head": "heads",
    "neuron": "neurons",
    "layer": "layers",
    "token": "products of tokens with weights",
    "exit": "layers, on average over the texts",
}
"""What a pruning ratio is a share of; else of the weights, without the embeddings."""


def _removed(result: dict[str, Any]) -> str:
    if nothing_removed(result):
        return "Nothing was pruned"
    return (
        f"Pruning ratio asked {result['pruning_ratio']:g}, reached {result['pruning_ratio_reached']:.3f} of the "
        f"encoder's {REMOVABLE.get(result['granularity'], 'weights')}, granularity `{result['granularity']}`"
    )


def front_matter(result: dict[str, Any]) -> str:
    """Return the card's YAML: what is unknown is left out.

    Args:
        result: The content of result.json.

    Returns:
        YAML without its fences.
    """
    task, base = result["task"], _hub_id(result.get("model"))
    scored = [("validation", result["compressed"]["score"])]
    scored += [("test", result["test"]["compressed"])] if result.get("test") else []
    metric = _HUB_METRICS.get(result["metric"], result["metric"])
    data = ModelCardData(
        library_name="sentence-transformers" if task["kind"] == "embedding" else "transformers",
        pipeline_tag=pipeline_of(task),
        license=result.get("license"),
        base_model=base,
        base_model_relation="finetune" if base else None,
        tags=["leanformer", "pruning", "compression", result["method"]],
        metrics=[metric],
        model_name=f"{task['name']}-{result['method']}",
        eval_results=[
            EvalResult(
                task_type=pipeline_of(task),
                dataset_type=task["name"],
                dataset_name=task["name"],
                dataset_split=split,
                metric_type=metric,
                metric_value=round(score, 4),
            )
            for split, score in scored
        ],
    )
    return str(data.to_yaml())


def _hub_id(model: str | None) -> str | None:
    """Return the model when it is a hub id: the hub refuses cards whose base model is a path."""
    if not model or Path(model).exists() or not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", model):
        return None
    return model


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(result: dict[str, Any]) -> str:
    dense, compressed = result["dense"], result["compressed"]
    rows: list[tuple[str, ...]] = [
        ("", "original", "this model"),
        ("---", "---:", "---:"),
        (numbers.metric_name(result["metric"]), _score(dense), _score(compressed)),
    ]
    test = result.get("test")
    if test:
        name = f"on test, n = {numbers.count(test['n'])}"
        rows.append((name, numbers.points(test["dense"]), numbers.points(test["compressed"])))
    rows += [
        ("encoder parameters", *(numbers.count(one["encoder_parameters"]) for one in (dense, compressed))),
        ("size on disk", *(numbers.megabytes(one["size_mb"]) for one in (dense, compressed))),
    ]
    intervals = result.get("speedup_interval") or {}
    for batch in sorted(result.get("speedup") or {}, key=int):
        within = f" ({numbers.times_interval(*intervals[batch])})" if batch in intervals else ""
        speed = f"{numbers.times_exact(result['speedup'][batch])}×{within}"
        rows.append((f"speed, PyTorch fp32, batch {batch}", "1.00×", speed))
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)


def _score(one: dict[str, Any]) -> str:
    return f"{numbers.points(one['score'])} ({numbers.points_interval(one['low'], one['high'])})"


def _machine_words(machine: dict[str, Any]) -> str:
    facts = [
        f"{key.replace('_', ' ')} {value}" for key, value in machine.items() if isinstance(value, str | int)
    ]
    facts += [f"{name} {version}" for name, version in (machine.get("versions") or {}).items()]
    return f"Measured on: {'; '.join(facts)}." if facts else ""
