"""Models of sentence embeddings: an encoder that answers a text with one vector, pooled from its tokens' states.

On disk such a model is a folder of sentence-transformers (Reimers and Gurevych 2019, arXiv 1908.10084): the bare
encoder, and beside it the files that say how it is pooled. In memory its class is the bare encoder's, whose `forward`
pools too and returns the vector where a classifier returns its logits, so that all else works as it does with
classifiers.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch
import transformers
from torch import Tensor
from torch.nn import functional
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import cached_file

from leanformer.encoders.carried import LEAN_CLASSES, Family, LeanModel
from leanformer.encoders.families import FAMILIES, family_of, is_lean
from leanformer.errors import ModelError

SUFFIX = "ForSentenceEmbedding"
KEY = "sentence_pooling"
"""Of the configuration: where the fields of `Pooling` are kept."""

Mode = Literal["mean", "cls"]
MODULES = ("Transformer", "Pooling", "Normalize")
MODES: dict[Mode, str] = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}
MODULES_FILE, SETTINGS_FILE, LENGTH_FILE = (
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
)
FEWEST_TOKENS = 1e-9  # that a sum is divided by, as in sentence-transformers


@dataclass(frozen=True)
class Pooling:
    """How the states of a text's tokens become one vector.

    Attributes:
        mode: "mean" over the real tokens, or "cls": the first token's state.
        normalised: Whether the vector is divided by its length.
        max_tokens: The longest text that sentence-transformers reads; None where it does not say.
        settings: What else sentence-transformers keeps of the model, carried along as it is.
    """

    mode: Mode = "mean"
    normalised: bool = False
    max_tokens: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def __call__(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """Pool.

        Args:
            states: The last states, (batch, tokens, hidden).
            mask: 1 for real tokens, (batch, tokens); None where all are.

        Returns:
            The sentence embeddings, (batch, hidden).
        """
        if self.mode == "cls":
            vector = states[:, 0]
        else:
            real = torch.ones_like(states[..., 0]) if mask is None else mask.to(states.dtype)
            counts = real.sum(dim=1, keepdim=True).clamp(min=FEWEST_TOKENS)  # (batch, 1)
            vector = (states * real[..., None]).sum(dim=1) / counts
        return functional.normalize(vector, dim=-1) if self.normalised else vector


def pooling_of(config: Any) -> Pooling | None:
    """Return how a model pools, or None where it gives no sentence embeddings.

    Args:
        config: Its transformers configuration.

    Returns:
        The pooling.
    """
    fields = getattr(config, KEY, None)
    return Pooling(**fields) if fields else None


def answer_width(config: Any) -> int:
    """Return how many numbers a model answers a text with: its labels, or the width of its vector.

    Args:
        config: Its transformers configuration.

    Returns:
        The width.
    """
    return int(config.hidden_size if getattr(config, KEY, None) else config.num_labels or 0)


def _pooled(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return a bare encoder's forward with the pooling behind it; its parameters stay the same."""

    @functools.wraps(forward)
    def pooled(self: Any, *args: Any, **kwargs: Any) -> SequenceClassifierOutput:
        kwargs.pop("return_dict", None)
        output = forward(self, *args, **kwargs)
        pooling = cast(Pooling, pooling_of(self.config))
        vector: Any = pooling(output.last_hidden_state, kwargs.get("attention_mask"))
        return SequenceClassifierOutput(logits=vector, hidden_states=output.hidden_states)

    return pooled


def _embedder(family: Family, lean: bool) -> Any:
    """Make a family's class of sentence embeddings, around its bare encoder's class."""
    stock = getattr(transformers, f"{family.prefix}Model")
    members: dict[str, Any] = {"forward": _pooled(stock.forward), "__module__": __name__}
    if not lean:
        return type(family.prefix + SUFFIX, (stock,), members)
    members |= {"family": family, "config_class": LEAN_CLASSES[family.name]["AutoConfig"]}
    return type(family.class_name(SUFFIX), (LeanModel, stock), members)


_STOCK = {name: _embedder(family, lean=False) for name, family in FAMILIES.items()}
_LEAN = {name: _embedder(family, lean=True) for name, family in FAMILIES.items()}
# By name too: a worker on another machine finds them as attributes of this file.
globals().update({made.__name__: made for made in (*_STOCK.values(), *_LEAN.values())})


def is_embedder(model: Any) -> bool:
    """Whether a model answers with sentence embeddings."""
    return type(model).__name__.endswith(SUFFIX)


def embedder_class(family: Family, lean: bool) -> Any:
    """Return the class of sentence embeddings around a family's bare encoder, stock or lean."""
    return (_LEAN if lean else _STOCK)[family.name]


def bare_class(model: Any) -> Any:
    """Return the class of the encoder without its pooling: what `AutoModel` loads."""
    family = family_of(model.config)
    if is_lean(model.config):
        return LEAN_CLASSES[family.name]["AutoModel"]
    return getattr(transformers, f"{family.prefix}Model")


def read_pooling(path_or_id: str) -> Pooling | None:
    """Read how a folder of sentence-transformers pools.

    Args:
        path_or_id: A model folder or hub id.

    Returns:
        The pooling; None where the folder is none of sentence-transformers.

    Raises:
        ModelError: If it has a module or a pooling that is not supported.
    """
    modules = _json(path_or_id, MODULES_FILE)
    if modules is None:
        return None
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    places = [module["path"] for module, kind in zip(modules, kinds, strict=True) if kind == "Pooling"]
    if kinds not in (list(MODULES[:2]), list(MODULES)) or modules[0]["path"]:
        raise ModelError(
            f"the sentence-transformers modules of {path_or_id} are {', '.join(kinds)}: only {', '.join(MODULES)} "
            "are supported, in this order, with the encoder in the folder itself; give another model"
        )
    settings = _json(path_or_id, SETTINGS_FILE) or {}
    if settings.get("default_prompt_name"):
        raise ModelError(
            f"{path_or_id} puts the prompt '{settings['default_prompt_name']}' before every text: write it into the "
            f"texts, and take default_prompt_name out of its {SETTINGS_FILE}"
        )
    length = (_json(path_or_id, LENGTH_FILE) or {}).get("max_seq_length")
    mode = _mode(_json(path_or_id, f"{places[0]}/config.json") or {}, path_or_id)
    return Pooling(mode, "Normalize" in kinds, length, settings)


def _mode(fields: dict[str, Any], path_or_id: str) -> Mode:
    """Return the one way in which a Pooling module pools."""
    asked = [name for name, value in fields.items() if name.startswith("pooling_mode_") and value]
    named = fields.get("pooling_mode")  # newer versions
    for mode, key in MODES.items():
        if asked == [key] or (not asked and named == mode):
            return mode
    raise ModelError(
        f"{path_or_id} pools by {', '.join(asked) or named or 'nothing'}: only the mean over the tokens and the "
        "first token are supported; give another model"
    )


def _json(path_or_id: str, name: str) -> Any:
    """Read a file beside a model's configuration; None where there is none."""
    path = cached_file(
        path_or_id,
        name,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if path is None:
        return None
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is no JSON that can be read ({error}): fetch the model again") from error


def write_pooling(pooling: Pooling, folder: Path, hidden_size: int) -> None:
    """Write the files by which sentence-transformers loads a folder.

    Args:
        pooling: How it pools.
        folder: Holds the bare encoder and its tokenizer.
        hidden_size: Width of the vector.
    """
    kinds = MODULES if pooling.normalised else MODULES[:2]
    modules = [
        {
            "idx": place,
            "name": str(place),
            "path": f"{place}_{kind}" if place else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, kind in enumerate(kinds)
    ]
    mode = {"word_embedding_dimension": hidden_size} | {
        key: name == pooling.mode for name, key in MODES.items()
    }
    files: dict[str, Any] = {MODULES_FILE: modules, "1_Pooling/config.json": mode}
    if pooling.settings:
        files[SETTINGS_FILE] = pooling.settings
    if pooling.max_tokens:
        files[LENGTH_FILE] = {"max_seq_length": pooling.max_tokens, "do_lower_case": False}
    for place in range(1, len(kinds)):
        (folder / modules[place]["path"]).mkdir(exist_ok=True)  # type: ignore[operator]
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def pooling_fields(pooling: Pooling) -> dict[str, Any]:
    """Return the value of `KEY` in a configuration."""
    return asdict(pooling)
