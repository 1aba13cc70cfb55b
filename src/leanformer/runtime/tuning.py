"""The dial of a chain of parts, set on texts without labels: they may be what a server was asked yesterday.

    tune(cascade, batches, agreement=0.98)
    cascade.keep_dial()

Needs scipy beside what `Cascade` needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from leanformer.dynamic.dial import Heard, curve, setting_that_agrees, setting_that_saves
from leanformer.errors import BudgetError
from leanformer.runtime.cascade import Cascade

CONFIDENCE = 0.95


def tune(
    cascade: Cascade,
    batches: Iterable[Mapping[str, np.ndarray]],
    saved: float | None = None,
    agreement: float | None = None,
    confidence: float = CONFIDENCE,
) -> list[dict[str, float]]:
    """Set the threshold by what is wanted of texts like these.

    Args:
        cascade: The chain; its threshold is set.
        batches: What the tokenizer made of the texts, as for a call of the chain.
        saved: Share of the layers that is not to run, on average: the safest setting that saves so much is taken.
        agreement: Share of the texts whose answer has to be that of the whole chain: the boldest setting is taken
            that holds it with confidence, on texts of the same kind; see
            `leanformer.dynamic.dial.setting_that_agrees`.
        confidence: That it does.

    Returns:
        What each setting comes to on these texts: "threshold", "saved" and "agreement".

    Raises:
        BudgetError: If no setting does what is wanted, if both or none are given, or there are no texts; the dial
            stays as it was.
    """
    if (saved is None) == (agreement is None):
        raise BudgetError("give tune either saved=0.5 or agreement=0.98")
    answers = [cascade.heard(batch) for batch in batches]
    if not answers:
        raise BudgetError("there are no texts to set the dial on: give tune at least one batch")
    logits = np.concatenate([one for one, _ in answers], axis=1)
    judged = [wrong for _, wrong in answers if wrong is not None]
    wrong = np.concatenate(judged, axis=1) if judged else None
    found = Heard(cascade.policy, logits, wrong, tuple(cascade.depths))
    threshold = (
        setting_that_saves(found, saved)
        if saved is not None
        else setting_that_agrees(found, agreement or 0.0, confidence)
    )
    if threshold is None:
        raise BudgetError(
            f"no setting saves {saved:g} of the layers on these {logits.shape[1]} texts: ask for less"
            if saved is not None
            else f"{logits.shape[1]} texts do not show that {agreement:g} of the answers stay: give more of them, or "
            "ask for less agreement"
        )
    cascade.threshold = threshold
    return curve(found, found.thresholds())
