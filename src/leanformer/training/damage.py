"""How far a pruned model has gone from its teacher: what recovery has to make up, and how large its steps may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from leanformer.gpu import borrowed
from leanformer.tasks.encode import batches
from leanformer.training.objective import hidden_loss
from leanformer.training.teacher import Teacher, autocast

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROWS = 256


@torch.no_grad()
def damage(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Dataset,
    teacher: Teacher,
    layers: tuple[int, ...],
) -> float:
    """Return how much of the teacher's hidden states a model misses, on the first training rows.

    Args:
        model: The pruned model, left in eval mode.
        tokenizer: Pads the batches.
        train: Encoded rows, in the teacher's order.
        teacher: Its outputs.
        layers: The model's hidden states that are compared with those that the teacher gives.

    Returns:
        0 for equal states, about 1 for a model that only knows their mean; see `hidden_loss`.
    """
    model.eval()
    losses, counts = [], []
    with borrowed(model) as device:
        for places, batch in batches(train.select(range(min(ROWS, len(train)))), tokenizer):
            batch.pop("labels", None)
            rows = torch.from_numpy(np.asarray(places))
            inputs = {name: tensor.to(device) for name, tensor in batch.items()}
            with autocast(device.type):
                states = model(**inputs, output_hidden_states=True).hidden_states
            _, wanted = teacher.outputs(rows.to(device), inputs)
            found = [states[layer] for layer in layers]
            losses.append(float(hidden_loss(found, wanted, inputs["attention_mask"])))
            counts.append(len(places))
    return float(np.average(losses, weights=counts))
