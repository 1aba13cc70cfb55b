"""What a model with a head for masked words expects where: log-probabilities of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leanformer.errors import ModelError
from leanformer.progress import track

if TYPE_CHECKING:
    from leanformer.audit.models import Asked

BATCH = 32


@dataclass(frozen=True)
class Question:
    """How likely some tokens are at some places of one input.

    Attributes:
        ids: The input, special tokens included; what is asked for is masked in it, or not.
        positions: The places.
        wanted: The token that is asked for at each place.
    """

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    wanted: tuple[int, ...]


def require_mask(asked: Asked) -> None:
    """Refuse a model that fills no blanks.

    Args:
        asked: The model.

    Raises:
        ModelError: It has no trained head for masked words, or its tokenizer has no mask token.
    """
    if not asked.fills_blanks:
        raise ModelError(
            "the model has no head for masked words: name a checkpoint whose architecture ends in ForMaskedLM"
        )
    if asked.tokenizer.mask_token_id is None:
        raise ModelError("the model's tokenizer has no mask token: set mask_token and save it again")


def answer(
    asked: Asked, questions: Sequence[Question], stage: str | None = None
) -> list[NDArray[np.float64]]:
    """Return log P of what is asked for.

    Args:
        asked: A model that fills blanks.
        questions: The questions.
        stage: Name of a progress bar; none is shown without it.

    Returns:
        One array a question, (positions,).
    """
    import torch

    found: list[NDArray[np.float64]] = [np.empty(0)] * len(questions)
    for rows, logits in _logits(asked, questions, stage):
        logs = torch.log_softmax(logits, dim=-1)
        start = 0
        for row in rows:
            places = len(questions[row].positions)
            wanted = torch.tensor(questions[row].wanted, device=logs.device)
            picked = logs[start : start + places].gather(-1, wanted[:, None])[:, 0]
            found[row] = picked.cpu().numpy().astype(np.float64)
            start += places
    return found


def best_fills(
    asked: Asked, questions: Sequence[Question], most: int, stage: str | None = None
) -> list[list[int]]:
    """Return the tokens that a model puts first at the first place of each question.

    Args:
        asked: A model that fills blanks.
        questions: The questions; `wanted` is not read.
        most: How many tokens.
        stage: Name of a progress bar.

    Returns:
        Token ids by question, the likeliest first; special tokens are left out.
    """
    special = list(asked.tokenizer.all_special_ids)
    found: list[list[int]] = [[]] * len(questions)
    for rows, logits in _logits(asked, questions, stage):
        logits[:, special] = -np.inf
        start = 0
        for row in rows:
            found[row] = logits[start].topk(most).indices.tolist()
            start += len(questions[row].positions)
    return found


def _logits(asked: Asked, questions: Sequence[Question], stage: str | None) -> Any:
    """Yield batches of like length: the questions' numbers, and the logits at their places, (places, vocabulary)."""
    import torch

    from leanformer.gpu import borrowed

    order = sorted(range(len(questions)), key=lambda row: -len(questions[row].ids))
    chunks: Any = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    with borrowed(asked.model) as device, torch.inference_mode():
        for rows in chunks if stage is None else track(chunks, stage):
            padded = asked.tokenizer.pad(
                {"input_ids": [list(questions[row].ids) for row in rows]}, return_tensors="pt"
            ).to(device)
            at = [(number, place) for number, row in enumerate(rows) for place in questions[row].positions]
            with _only_states_at(asked.model.base_model, at):
                logits = asked.model(**padded).logits  # (1, places, vocabulary)
            yield rows, logits[0].float()


@contextmanager
def _only_states_at(encoder: Any, at: Sequence[tuple[int, int]]) -> Iterator[None]:
    """Give a head only the states that are asked for: over all tokens the vocabulary costs as much as the encoder."""
    texts, places = (list(part) for part in zip(*at, strict=True))

    def pick(module: Any, given: Any, output: Any) -> Any:
        output["last_hidden_state"] = output["last_hidden_state"][texts, places][None]  # (1, places, hidden)
        return output

    handle = encoder.register_forward_hook(pick)
    try:
        yield
    finally:
        handle.remove()


def token_ids(asked: Asked, text: str) -> list[int]:
    """Return a text's tokens, special ones included, as many as the model can read.

    Args:
        asked: The model.
        text: The text.

    Returns:
        Token ids.
    """
    from leanformer.tasks.encode import model_max_tokens

    longest = model_max_tokens(asked.model, asked.tokenizer)
    ids: list[int] = asked.tokenizer(text, truncation=True, max_length=longest)["input_ids"]
    return ids


def inner(asked: Asked, ids: Sequence[int]) -> list[int]:
    """Return the positions of the tokens that are not special ones.

    Args:
        asked: The model.
        ids: Token ids of one text.

    Returns:
        Positions, in order.
    """
    special = {*asked.tokenizer.all_special_ids} - {asked.tokenizer.unk_token_id}
    return [position for position, token in enumerate(ids) if token not in special]
