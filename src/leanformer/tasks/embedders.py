"""How a checkpoint's tokens become one vector, and how long its texts may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leanformer.progress import say

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

    from leanformer.encoders.sentence import Pooling


def settle_pooling(path_or_id: str, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> Pooling:
    """Find out how a checkpoint pools; one that does not say so gets the mean over its tokens.

    Args:
        path_or_id: A model folder or hub id.
        config: Its configuration.
        tokenizer: Its tokenizer, which takes over what sentence-transformers says of the length of texts.

    Returns:
        The pooling.

    Raises:
        ModelError: If it is one that is not supported.
    """
    from leanformer.encoders.sentence import Pooling, pooling_of, read_pooling

    pooling = read_pooling(path_or_id) or pooling_of(config)
    if pooling is None:
        say(f"{path_or_id} is no folder of sentence-transformers: the mean of its tokens' states is taken")
        return Pooling()
    if pooling.max_tokens:
        tokenizer.model_max_length = min(tokenizer.model_max_length, pooling.max_tokens)
    return pooling
