"""Word embeddings of a lower rank: most of a small encoder's weights are in their table."""

from __future__ import annotations

from typing import Any

import torch

from leanformer.encoders.lean import config_for, lean_class_for, rebuild
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError, ModelError
from leanformer.structure.kept import layer_shapes


@torch.no_grad()
def factorised(model: Any, rank: int) -> Any:
    """Return a model whose word embeddings are the best product of two matrices: E V V^T, V of rank columns.

    V are the leading eigenvectors of E^T E, the right singular vectors of E (Eckart & Young 1936), as in GRAIN's
    E ~ (U S) V^T.

    Args:
        model: A transformers encoder model of a supported family; it is left as it is.
        rank: Columns of the table that stays, below the embeddings' width.

    Returns:
        A lean model; its table is (pieces, rank), its projection (width, rank).

    Raises:
        BudgetError: The rank is not between 1 and the width.
        ModelError: The model answers with its word embeddings, as a masked language model does, or they have been
            factorised already.
    """
    embeddings = model.get_input_embeddings()
    if model.get_output_embeddings() is not None or not isinstance(embeddings, torch.nn.Embedding):
        raise ModelError(
            f"The word embeddings of {type(model).__name__} are used twice or factorised already; leave them whole."
        )
    table = embeddings.weight
    if not 1 <= rank < table.shape[1]:
        raise BudgetError(
            f"word embeddings of {table.shape[1]} columns have no table of {rank}: give a rank from 1 to "
            f"{table.shape[1] - 1}"
        )
    _, vectors = torch.linalg.eigh((table.T @ table).double())
    leading = vectors[:, -rank:].to(table.dtype)  # (width, rank)
    path = next(name for name, module in model.named_modules() if module is embeddings)
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    state[f"{path}.table.weight"] = state.pop(f"{path}.weight") @ leading
    state[f"{path}.projection.weight"] = leading.contiguous()
    lean_class = lean_class_for(model)
    shapes = dict(enumerate(layer_shapes(EncoderView(model))))
    config = config_for(lean_class, model.config, per_layer_config=shapes, embedding_rank=rank)
    return rebuild(model, lean_class, config, state)
