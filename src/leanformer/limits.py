"""The limits on what may change, held against the model as it is served."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.encoders.forms import PLAIN
from leanformer.export.layout import artefact
from leanformer.export.runtimes import load_runner, predict_with
from leanformer.measure.bench import BASELINE
from leanformer.progress import say
from leanformer.run import Facts, Run
from leanformer.tasks.predict import predict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from leanformer.measure.harm import Answer, Watch
    from leanformer.methods.problem import Problem

LIMITS_STAGE = "limits"


def limit_facts(
    run: Run, models: tuple[PreTrainedModel, PreTrainedModel], problem: Problem, serve: Facts | None
) -> Facts | None:
    """Hold a run's model against the limits on what may change.

    Args:
        run: A run whose models and exports are there.
        models: The dense one and the compressed one.
        problem: The held-out rows, which no training has read, and the limits.
        serve: In which runtime, precision and form the method wants its model to be served, where it says so.

    Returns:
        What `held_against` returns; None where nothing is limited.
    """
    watch = problem.watch
    if watch is None:
        return None
    dense, small = models

    def work(_: Path) -> Facts:
        target = serve or asdict(run.job.target)
        rows, tokenizer = problem.held_out, problem.tokenizer
        return held_against(watch, rows, dense, served_answer(run, small, tokenizer, target), tokenizer)

    return run.stage(LIMITS_STAGE, work)


def served_answer(
    run: Run, small: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, target: Mapping[str, Any]
) -> Answer | None:
    """Return how the compressed model answers where it is served; int8 answers otherwise than PyTorch.

    Args:
        run: The run.
        small: Its model, in PyTorch.
        tokenizer: Its tokenizer.
        target: Runtime, precision, and perhaps form.

    Returns:
        The answers; None where the run holds no such file.
    """
    runtime, precision, form = target["runtime"], target["precision"], target.get("form") or PLAIN
    if (runtime, precision) == BASELINE:
        return lambda rows: predict(small, rows, tokenizer)
    if runtime != "torch" and not artefact(run.folder, runtime, precision, form).is_file():
        return None
    source = small if runtime == "torch" else run.folder
    runner = load_runner(source, runtime, precision, threads=run.job.threads, form=form)
    return lambda rows: predict_with(runner, rows, tokenizer)


def held_against(
    watch: Watch,
    rows: Dataset,
    dense: PreTrainedModel,
    answer: Answer | None,
    tokenizer: PreTrainedTokenizerBase,
) -> Facts:
    """Measure what is limited.

    Args:
        watch: The limits.
        rows: Encoded rows that nothing was trained on.
        dense: The dense model.
        answer: How the other model answers; None where that can not be asked.
        tokenizer: Of both.

    Returns:
        By name of the limit: the figure (`value`), its interval (`low`, `high`), and how many texts or pairs of texts
        it is of (`n`, `unit`); none where there is no answer.
    """
    if answer is None:
        return {}
    say("the limits on what may change are measured on held-out rows")
    before = watch.see(lambda part: predict(dense, part, tokenizer), rows)
    found = watch.harms(before, watch.see(answer, rows), np.asarray(rows["label"][:]))
    return {
        name: {key: getattr(one, key) for key in ("value", "low", "high", "n", "unit")}
        for name, one in found.items()
    }
