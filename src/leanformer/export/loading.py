"""Loading a finished classifier without its data: the head says what the task is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer.encoders.sentence import KEY, pooling_fields, pooling_of, read_pooling
from leanformer.errors import ModelError, first_line
from leanformer.tasks.head_labels import bears_head
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import DEFAULT_METRICS
from leanformer.tasks.questions import PLACES
from leanformer.tasks.task import Kind, Task

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def task_of_head(config: Any) -> Task:
    """Describe the task that a saved head answers.

    Args:
        config: A transformers configuration.

    Returns:
        A task with the head's own labels.
    """
    if pooling_of(config):
        return Task("model", "embedding", True, (), DEFAULT_METRICS["embedding"][0])
    if bears_head(config, "question-answering"):
        return Task("model", "question-answering", True, PLACES, DEFAULT_METRICS["question-answering"][0])
    tagging = bears_head(config, "token-classification")
    regression = not tagging and (config.problem_type == "regression" or config.num_labels == 1)
    names = tuple(str(name) for _, name in sorted(config.id2label.items()))
    kind: Kind = "token-classification" if tagging else "regression" if regression else "classification"
    labels = () if regression else names
    return Task("model", kind, pair=False, labels=labels, metric=DEFAULT_METRICS[kind][0])


def load_config(source: str | Path) -> PreTrainedConfig:
    """Read the configuration of a saved or an exported model.

    Args:
        source: A Hugging Face folder, the folder of an export, or a hub id.

    Returns:
        The configuration.

    Raises:
        ModelError: If it can not be read.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    import leanformer.encoders.lean  # noqa: F401  (registers the classes of compressed models)

    try:
        return AutoConfig.from_pretrained(str(source))
    except (OSError, ValueError, KeyError, AttributeError, TypeError, StrictDataclassError) as error:
        raise ModelError(f"{source} is no model folder that can be loaded: {first_line(error)}") from error


def load_classifier(source: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a saved classifier of texts or tokens in float32, dense or compressed, with its own head; or an embedder.

    Args:
        source: A Hugging Face folder or a hub id.

    Returns:
        The model, in eval mode, and its tokenizer.

    Raises:
        ModelError: If it can not be loaded, is of an unsupported architecture, or has no task head.
    """
    config = load_config(source)
    if not pooling_of(config) and (pooling := read_pooling(str(source))):
        setattr(config, KEY, pooling_fields(pooling))
    task = task_of_head(config)
    model, tokenizer, has_head = load_model(str(source), task, finetune=False)
    if not has_head:
        raise ModelError(
            f"{source} has no task head, so it gives no answers yet: compress or fine-tune it first"
        )
    return model, tokenizer
