"""Loading an encoder with a head that fits the task: the checkpoint's own, or a fresh one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer.errors import ModelError, first_line
from leanformer.progress import say
from leanformer.tasks.embedders import settle_pooling
from leanformer.tasks.head_labels import (
    AUTO_CLASSES,
    PROBLEM_TYPES,
    bears_head,
    head_mismatch,
    label_order,
)
from leanformer.tasks.sources import HUB_ID, local_path
from leanformer.tasks.task import Task

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

HEAD_SEED = 0
SAFE_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
PICKLE_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
TOKENIZER_FILES = ("tokenizer.json", "vocab.*", "*.model", "tokenizer*.py")


def load_model(
    path_or_id: str, task: Task, finetune: bool, trust_remote_code: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, bool]:
    """Load an encoder with a task head, in float32, from safetensors only.

    A head that fits the task is used as it is; where its classes bear the task's names in another order, its rows
    are put into the task's order. Otherwise the head starts from new weights, the same ones every time.

    Args:
        path_or_id: A Hugging Face folder or hub id; compressed folders load too.
        task: The task, which decides the head's size and label names.
        finetune: Whether the model will be trained on the task, so that a head that does not fit is no error.
        trust_remote_code: Whether code that the checkpoint carries may run.

    Returns:
        The model in eval mode, its tokenizer, and whether the checkpoint had a head that fits.

    Raises:
        ModelError: If the folder is not a usable model, its architecture is not supported, or its head does not
            match the data and is not to be trained.
    """
    from leanformer.encoders.lean import as_embedder
    from leanformer.encoders.sentence import KEY

    path_or_id, config, tokenizer = load_parts(path_or_id, trust_remote_code)
    if task.kind == "embedding":
        if finetune:
            raise ModelError(
                "embeddings are distilled from the dense model's own, and no labels are learned: leave --finetune out"
            )
        pooling = settle_pooling(path_or_id, config, tokenizer)
        encoder = _load_weights(path_or_id, config, "AutoModel", True, trust_remote_code)
        return as_embedder(encoder, pooling).eval(), tokenizer, True
    vars(config).pop(KEY, None)  # an encoder of sentence embeddings gets a head of its own
    has_head = bears_head(config, task.kind)
    mismatch = head_mismatch(config, task) if has_head else None
    if mismatch and not finetune:
        raise ModelError(
            f"the head of {path_or_id} does not match the data: {mismatch}; train a new one with --finetune, "
            "or choose another model"
        )
    order = label_order(config, task) if has_head and not mismatch else None
    _set_labels(config, task)
    if task.kind == "token-classification" and getattr(tokenizer, "add_prefix_space", None) is False:
        # a word alone has to be cut as it is within a sentence
        tokenizer = _load_tokenizer(path_or_id, config, trust_remote_code, add_prefix_space=True)
    auto = AUTO_CLASSES[task.kind]
    model = _load_weights(path_or_id, config, auto, has_head and not mismatch, trust_remote_code)
    if order is not None:
        _reorder_head(model, order)
        say(f"the head of {path_or_id} was put into the label order of the data ({', '.join(task.labels)})")
    return model.eval(), tokenizer, has_head and not mismatch


def load_parts(
    path_or_id: str, trust_remote_code: bool = False
) -> tuple[str, PreTrainedConfig, PreTrainedTokenizerBase]:
    """Load what a model needs besides its weights, and refuse what can not be used.

    Args:
        path_or_id: A Hugging Face folder or hub id.
        trust_remote_code: Whether code that the checkpoint carries may run.

    Returns:
        The folder or id, the configuration, and the tokenizer.

    Raises:
        ModelError: If the folder is not a usable model, or its architecture is not supported.
    """
    import leanformer.encoders.lean  # noqa: F401  (registers the classes of compressed models)
    from leanformer.encoders.families import family_of

    path_or_id = _checked(path_or_id)
    config = _load_config(path_or_id, trust_remote_code)
    family_of(config)
    return path_or_id, config, _load_tokenizer(path_or_id, config, trust_remote_code)


def _checked(path_or_id: str) -> str:
    """Check what can be checked without opening files, for folders on this machine; `~` becomes the home folder."""
    folder = local_path(path_or_id)
    if folder.is_file():
        raise ModelError(f"{folder} is a file: give the folder that holds config.json and model.safetensors")
    if not folder.is_dir():
        if HUB_ID.fullmatch(path_or_id):
            return path_or_id
        raise ModelError(f"there is no model folder {folder}: check the path")
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json: give a Hugging Face model folder")
    if not _has(folder, SAFE_WEIGHTS):
        if _has(folder, PICKLE_WEIGHTS):
            raise ModelError(
                f"{folder} has pickle weights only, which can run code when opened: convert them where you trust "
                "them, with AutoModel.from_pretrained(folder).save_pretrained(new_folder), and give the new folder"
            )
        raise ModelError(f"{folder} has no weights: it needs model.safetensors")
    if not _has(folder, TOKENIZER_FILES):
        raise ModelError(f"{folder} has no tokenizer: save the model's tokenizer into it (tokenizer.json)")
    return str(folder)


def _has(folder: Path, patterns: tuple[str, ...]) -> bool:
    """Whether a folder holds a file of one of the patterns."""
    return any(True for pattern in patterns for _ in folder.glob(pattern))


def _load_config(path_or_id: str, trust_remote_code: bool) -> PreTrainedConfig:
    """Read the configuration."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    from leanformer.encoders.families import supported

    try:
        return AutoConfig.from_pretrained(path_or_id, trust_remote_code=trust_remote_code)
    except (OSError, StrictDataclassError, AttributeError, TypeError) as error:
        if Path(path_or_id).is_dir():
            raise ModelError(
                f"the config.json of {path_or_id} can not be read ({first_line(error)}): fetch the model again"
            ) from error
        raise ModelError(
            f"{path_or_id} is no folder here and can not be fetched from the hub ({first_line(error)}): "
            "check the name and the connection"
        ) from error
    except (ValueError, KeyError) as error:
        raise ModelError(
            f"{path_or_id} is of an architecture that is not supported ({first_line(error)}): "
            f"use one of {', '.join(supported())}"
        ) from error


def _load_tokenizer(
    path_or_id: str, config: PreTrainedConfig, trust_remote_code: bool, **settings: bool
) -> PreTrainedTokenizerBase:
    """Load the tokenizer and check that its ids fit the model."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path_or_id, trust_remote_code=trust_remote_code, **settings)
    except Exception as error:  # tokenizers raise plain Exception for a broken file
        raise ModelError(
            f"the tokenizer of {path_or_id} can not be loaded ({first_line(error)}): save it into the folder again"
        ) from error
    if tokenizer.pad_token_id is None:
        raise ModelError(
            f"the tokenizer of {path_or_id} has no padding token: set pad_token and save it again"
        )
    if len(tokenizer) > config.vocab_size:
        raise ModelError(
            f"the tokenizer of {path_or_id} has {len(tokenizer)} pieces and the model knows {config.vocab_size}: "
            "use the tokenizer that the model was trained with"
        )
    return tokenizer


def _set_labels(config: PreTrainedConfig, task: Task) -> None:
    """Write the task's labels and problem type into the configuration."""
    config.num_labels = task.num_labels
    if task.labels:
        config.id2label = dict(enumerate(task.labels))
        config.label2id = {label: index for index, label in enumerate(task.labels)}
    config.problem_type = PROBLEM_TYPES[task.kind]


def with_new_head(model: PreTrainedModel, task: Task) -> PreTrainedModel:
    """Return a copy of a model with a seeded new head for another task.

    Args:
        model: A sequence classifier; it is left as it is.
        task: The other task.

    Returns:
        The copy, in eval mode; what is above the encoder starts anew.
    """
    import torch

    config = copy.deepcopy(model.config)
    _set_labels(config, task)
    with torch.random.fork_rng():
        torch.manual_seed(HEAD_SEED)
        made = type(model)(config)
    made.base_model.load_state_dict(model.base_model.state_dict())
    return made.eval()


def _load_weights(
    path_or_id: str, config: PreTrainedConfig, auto: str, head_fits: bool, trust_remote_code: bool
) -> PreTrainedModel:
    """Load the weights; what the checkpoint lacks starts from seeded new ones, which only the head may need."""
    import torch
    import transformers
    from safetensors import SafetensorError

    try:
        with torch.random.fork_rng(), silence():
            torch.manual_seed(HEAD_SEED)
            model, report = getattr(transformers, auto).from_pretrained(
                path_or_id,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=trust_remote_code,
                ignore_mismatched_sizes=True,  # checked below: transformers would put noise there silently
                output_loading_info=True,
            )
    except (OSError, SafetensorError, ValueError, KeyError, ArithmeticError) as error:
        raise ModelError(
            f"the weights of {path_or_id} can not be loaded ({first_line(error)}): "
            "it needs a whole model.safetensors and a config.json that describes it"
        ) from error
    _check_loaded(path_or_id, model, report, head_fits)
    return model


def _check_loaded(path_or_id: str, model: PreTrainedModel, report: dict[str, Any], head_fits: bool) -> None:
    """Refuse a model whose encoder did not come from the checkpoint, and tell what else starts anew."""
    misfits = {key[0] if isinstance(key, tuple) else key for key in report["mismatched_keys"]}
    new = sorted(misfits | set(report["missing_keys"]))
    prefix = f"{model.base_model_prefix}."
    lost = [key for key in new if head_fits or key.startswith(prefix)]
    lost = [key for key in lost if ".pooler." not in f".{key}"]  # many encoders come without a trained pooler
    if lost:
        raise ModelError(
            f"the weights of {path_or_id} do not fit its config.json: {len(lost)} are absent or of another shape, "
            f"such as {lost[0]}; give the checkpoint's own config.json"
        )
    if new:
        say(
            f"{path_or_id} has no trained weights for {', '.join(new)}: they start from new ones (seed {HEAD_SEED})"
        )


@contextmanager
def silence() -> Iterator[None]:
    """Keep transformers' own reports and bars off the screen; what matters of them is checked and said by us."""
    from transformers.utils import logging

    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()


def _reorder_head(model: PreTrainedModel, order: list[int]) -> None:
    """Put the rows of the head's last linear layer, one a label, into another order."""
    import torch

    head = {name: module for name, module in model.named_children() if name != model.base_model_prefix}
    linears = [
        module for part in head.values() for module in part.modules() if isinstance(module, torch.nn.Linear)
    ]
    last = [linear for linear in linears if linear.out_features == len(order)][-1]
    with torch.no_grad():
        last.weight.copy_(last.weight[order].clone())
        if last.bias is not None:
            last.bias.copy_(last.bias[order].clone())
