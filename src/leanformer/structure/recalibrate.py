"""Recalibration of LayerNorm scales and biases: EagleEye's adaptive batch-norm, carried over to encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from leanformer.encoders.view import EncoderView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedModel

Statistics = dict[str, tuple[Tensor, Tensor]]


@torch.no_grad()
def recalibrate_norms(dense: PreTrainedModel, small: PreTrainedModel, batch: Mapping[str, Tensor]) -> None:
    """Give each LayerNorm's output the mean and spread per feature that it has in the dense model.

    EagleEye (Li et al. 2020, arXiv 2007.02491) re-estimates the batch-norm statistics of a pruned network;
    LayerNorm has none, so the affine parameters are moved instead: from the first layer to the last, in one
    forward pass, so that each layer sees inputs that are already recalibrated. A reconstruction.

    Args:
        dense: The dense model.
        small: The pruned model, changed in place.
        batch: One padded batch of calibration rows with `attention_mask` (batch, tokens).
    """
    inputs = {name: value.to(dense.device) for name, value in batch.items() if name != "labels"}
    real = inputs["attention_mask"].bool()
    wanted: Statistics = {}

    def note(name: str, module: nn.LayerNorm, output: Tensor) -> None:
        values = output[real].float()
        wanted[name] = (values.mean(dim=0), values.std(dim=0))

    def match(name: str, module: nn.LayerNorm, output: Tensor) -> Tensor:
        values = output[real].float()
        mean, spread = wanted[name]
        factor = (spread / values.std(dim=0).clamp_min(1e-6)).clamp(0.2, 5.0)
        shift = mean - values.mean(dim=0) * factor
        module.weight.mul_(factor)
        if module.bias is None:
            return output * factor
        module.bias.mul_(factor).add_(shift)
        return output * factor + shift

    with _watched(dense, note):
        dense(**inputs)
    with _watched(small, match):
        small(**inputs)


@contextmanager
def _watched(model: PreTrainedModel, action: Callable[[str, nn.LayerNorm, Tensor], Any]) -> Iterator[None]:
    """Call an action on the output of each LayerNorm inside the layers."""
    view = EncoderView(model)
    with ExitStack() as stack:
        for index, layer in enumerate(view.layers):
            for path, module in layer.named_modules():
                if isinstance(module, nn.LayerNorm):
                    name = f"{index}.{path}"
                    handle = module.register_forward_hook(
                        lambda module, args, output, name=name: action(name, module, output)
                    )
                    stack.callback(handle.remove)
        yield
