"""What a model answers, under one name: heads of transformers give it under several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PLACES = ("start_logits", "end_logits")
"""What heads for questions give, in place of logits: of each token, whether the answer starts or ends there."""


def logits_of(output: Any) -> Tensor:
    """Return the logits of a model's output.

    Args:
        output: What the model returned.

    Returns:
        (batch, labels); of tokens (batch, tokens, labels), where a head for questions has two, start and end.
    """
    import torch  # here: exported files are run without

    places: list[Any] = [getattr(output, name, None) for name in PLACES]
    logits: Tensor = output.logits if places[0] is None else torch.stack(places, dim=-1)
    return logits


def answers_questions(model: Any) -> bool:
    """Whether a model says where answers start and end."""
    return type(model).__name__.endswith("ForQuestionAnswering")
