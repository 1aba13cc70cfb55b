"""Loading what an audit asks: an encoder, with its head for masked words where the checkpoint has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leanformer.errors import ModelError, first_line
from leanformer.tasks.heads import load_parts, silence

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MASKED_HEADS = ("ForMaskedLM", "ForPreTraining")


class Asked(NamedTuple):
    """A model that is asked, in eval mode.

    Attributes:
        folder: Where it came from.
        model: With its head for masked words, or without any head.
        tokenizer: Its tokenizer, which knows where in a text a token lies.
        fills_blanks: Whether it has a trained head for masked words.
    """

    folder: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fills_blanks: bool


def load_asked(path_or_id: str, trust_remote_code: bool = False) -> Asked:
    """Load an encoder, in float32, from safetensors only.

    Args:
        path_or_id: A Hugging Face folder or hub id; compressed folders load too, and heads for tasks are left out.
        trust_remote_code: Whether code that the checkpoint carries may run.

    Returns:
        The model.

    Raises:
        ModelError: If the folder is not a usable model, its weights do not fit its configuration, or its tokenizer
            does not say where tokens lie.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoModelForMaskedLM

    path_or_id, config, tokenizer = load_parts(path_or_id, trust_remote_code)
    if not tokenizer.is_fast:
        raise ModelError(
            f"the tokenizer of {path_or_id} does not say where in a text its tokens lie: save it as tokenizer.json"
        )
    fills_blanks = any(name.endswith(MASKED_HEADS) for name in config.architectures or ())
    auto = AutoModelForMaskedLM if fills_blanks else AutoModel
    try:
        with torch.random.fork_rng(), silence():
            model, report = auto.from_pretrained(
                path_or_id,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
            )
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError, ArithmeticError) as error:
        raise ModelError(
            f"the weights of {path_or_id} can not be loaded ({first_line(error)}): "
            "it needs a whole model.safetensors and a config.json that describes it"
        ) from error
    lost = [key for key in sorted(report["missing_keys"]) if "pooler." not in key]
    if lost:
        raise ModelError(
            f"the weights of {path_or_id} do not fit its config.json: {len(lost)} are absent, such as {lost[0]}; "
            "give the checkpoint's own config.json"
        )
    return Asked(path_or_id, model.eval(), tokenizer, fills_blanks)
