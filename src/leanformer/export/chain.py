"""A model with early exits as a chain of parts, each a model of its own that exports like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from leanformer.encoders.carried_exits import ExitHead
from leanformer.encoders.first_token import sharing_copy
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.runtime.cascade import description
from leanformer.structure.exits import exits_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def leaves_early(model: Any) -> bool:
    """Whether texts leave a model early, so that it is served as a chain."""
    return bool(getattr(model.config, "exit_policy", None)) and bool(exits_of(model))


def chain_of(model: PreTrainedModel) -> list[PreTrainedModel]:
    """Return the parts of a model that texts leave early.

    The first part reads token ids, the others the states that the part before has left, as `inputs_embeds`. All but
    the last give `logits` of their exit, and `hidden_states`: the states, and how likely the exit is wrong where it
    judges.

    Args:
        model: A classifier with exits and a policy.

    Returns:
        Models for inference that share its weights.

    Raises:
        ModelError: If tokens leave, too.
    """
    view, exits = EncoderView(model), exits_of(model)
    if view.kept_tokens(view.n_layers - 1) < 1:
        raise ModelError(
            "A model that drops tokens and that texts leave early runs in PyTorch only: export one that does either."
        )
    starts = [0, *(layer + 1 for layer in exits)]
    ends = [*(layer + 1 for layer in exits), view.n_layers]
    heads = [*exits.values(), None]
    return [_part(model, start, end, head) for start, end, head in zip(starts, ends, heads, strict=True)]


def write_description(model: PreTrainedModel, first: Path) -> None:
    """Write what `leanformer.runtime.Cascade` has to know beside the first part.

    Args:
        model: A classifier with exits and a policy.
        first: The first part's file.
    """
    policy = model.config.exit_policy
    layers = [*(layer + 1 for layer in exits_of(model)), EncoderView(model).n_layers]
    facts = {"policy": policy["name"], "threshold": policy["threshold"], "layers": layers}
    description(first).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


class _States(nn.Module):
    """Stands where the embeddings were: what comes in are states already."""

    def forward(self, *given: Any, **named: Any) -> Tensor:
        """Return the states among what a family gives its embeddings."""
        tensors = [one for one in (*given, *named.values()) if isinstance(one, Tensor) and one.ndim == 3]
        return tensors[0]


def _part(model: PreTrainedModel, start: int, end: int, head: ExitHead | None) -> PreTrainedModel:
    """Return the layers from `start` to before `end`, under an exit or under the model's own head."""
    made: PreTrainedModel = sharing_copy(model).eval()
    view = EncoderView(made)
    base: Any = made.base_model
    layers = nn.ModuleList()
    for number in range(start, end):
        layers.add_module(str(number), view.layers[number])  # under its own number: the graph's nodes bear it
    base.set_submodule(view.family.layers, layers)
    encoder: Any = view.encoder()
    encoder.exits, encoder.leaving.policy = nn.ModuleDict(), ""
    if start:
        base.embeddings = _States()
    if head is not None:
        made.add_module("exit", head)
        made.register_forward_hook(_exit_answers, with_kwargs=True)
        encoder.register_forward_hook(_keep_states)
    return made


def _keep_states(encoder: Any, given: Any, output: Any) -> None:
    encoder.left = output[0]


def _exit_answers(part: Any, given: Any, named: dict[str, Any], output: Any) -> Any:
    """Give the exit's answer, and the states for the next part."""
    encoder = EncoderView(part).encoder()
    states: Any = encoder.left
    encoder.left = None  # type: ignore[assignment]
    output["logits"], wrong = part.exit(states, named["attention_mask"].bool())
    output["hidden_states"] = (states,) if wrong is None else (states, wrong)
    return output
