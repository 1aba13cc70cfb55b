"""Writing a model as a Hugging Face folder, by the simplest door that its shapes allow."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from leanformer.encoders.families import is_lean
from leanformer.encoders.lean import config_for, rebuild, stock_class_for, without_pooling
from leanformer.encoders.sentence import is_embedder, pooling_of, write_pooling
from leanformer.encoders.view import EncoderView


def plain_width(model: Any) -> int | None:
    """Return the FFN width with which a stock class can build the model, or None where it can not.

    A stock class needs all heads in all layers, whole and with the usual attention, all tokens, one width above zero
    for all layers, and neither a matrix that is a product nor an exit.

    Args:
        model: A transformers encoder model of a supported family.

    Returns:
        The width (neurons), or None.

    Raises:
        ModelError: The architecture is not supported.
    """
    view = EncoderView(model)
    widths = {view.width(layer) for layer in range(view.n_layers)}
    all_heads = all(
        view.heads(layer) == view.dense_heads
        and view.query_key_size(layer) == view.value_size(layer) == view.head_size
        and view.hard_attention(layer) is None
        and view.kept_tokens(layer) == 1
        and not view.ranks(layer)
        for layer in range(view.n_layers)
    )
    stock = not (getattr(model.config, "embedding_rank", None) or getattr(model.config, "exits", None))
    return widths.pop() if stock and all_heads and len(widths) == 1 and 0 not in widths else None


def as_plain(model: Any) -> Any:
    """Return a lean model as one of transformers' own class; weights are shared with it.

    Args:
        model: A lean model whose shapes a stock class can build.

    Returns:
        The stock model.

    Raises:
        ValueError: The model's layers differ in shape.
    """
    width = plain_width(model)
    if width is None:
        raise ValueError("The layers of this model differ in shape; no stock class can build it.")
    model_class = stock_class_for(model)
    config = config_for(model_class, model.config, **{EncoderView(model).family.width_name: width})
    return rebuild(model, model_class, config, model.state_dict())


def save_model(model: Any, tokenizer: Any, folder: str | Path) -> Literal["plain", "lean"]:
    """Write a model and its tokenizer as a folder that transformers loads; weights are safetensors.

    Plain: stock class, loads with transformers alone. Lean: layers differ in shape; loads after
    `import leanformer.encoders.lean`, or with `trust_remote_code=True` by the code that the folder carries. A model
    of sentence embeddings is written as a folder of sentence-transformers.

    Args:
        model: A transformers encoder model, stock or lean.
        tokenizer: Its tokenizer, or None to write none.
        folder: Where to write; made where absent.

    Returns:
        "plain" or "lean".

    Raises:
        ModelError: The architecture is not supported.
    """
    if is_lean(model.config) and plain_width(model) is not None:
        model = as_plain(model)
    if is_embedder(model) and (pooling := pooling_of(model.config)):
        model = without_pooling(model)
        model.save_pretrained(folder)
        write_pooling(pooling, Path(folder), model.config.hidden_size)
    else:
        model.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return "lean" if is_lean(model.config) else "plain"
