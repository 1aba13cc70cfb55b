"""The part of an audit that every compression runs: what it did to gender in the answers, within two minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leanformer.audit.answering import of_model
from leanformer.audit.answers import changed_by_group, drawn, make_twins, swap_figures
from leanformer.audit.associations import SEAT, seat
from leanformer.audit.compare import Found, side_by_side
from leanformer.audit.figure import Figure, Unmeasured
from leanformer.audit.models import Asked
from leanformer.audit.vectors import check_whole
from leanformer.audit.words import TESTS
from leanformer.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from leanformer.tasks.task import Task

SAMPLES = 1000
"""Re-partitions for p."""


def cheap_audit(
    models: Sequence[PreTrainedModel],
    answers: Sequence[NDArray[np.floating]],
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    max_tokens: int | None = None,
) -> dict[str, Any]:
    """Measure what compression changed of bias: the swap gap, whose answers changed, and SEAT.

    Args:
        models: The dense model and the compressed one.
        answers: Their logits on the rows.
        rows: Validation rows.
        tokenizer: Their tokenizer.
        task: The task.
        max_tokens: Longest input.

    Returns:
        What `side_by_side` returns, of models "dense" and "compressed". Where the texts name no gender, one sentence
        says so and nothing is measured.
    """
    names, twins = ("dense", "compressed"), make_twins(rows)
    found: list[Found] = [
        swap_figures(of_model(model, tokenizer, max_tokens), drawn(twins), task) for model in models
    ]
    if not any(isinstance(one, Figure) for one in found[0]):
        return side_by_side(names, found)
    whole: list[Found] = [
        [*part, *_seat(model, tokenizer)] for part, model in zip(found, models, strict=True)
    ]
    return side_by_side(names, whole, changed_by_group(answers[0], answers[1], twins.groups))


def _seat(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Found:
    try:
        check_whole(model)
    except ModelError as error:
        return [Unmeasured(SEAT, str(error))]
    asked = Asked(str(model.config.name_or_path), model, tokenizer, fills_blanks=False)
    return seat(asked, TESTS[:1], samples=SAMPLES)
