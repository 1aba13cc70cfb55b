"""Probes: small whole models of a model's own family with random weights, exported and quantised like real ones.

A sub-layer in a graph of its own is dominated by what a call costs, and no runtime fuses it as it does in a model.
The difference of two whole models that differ in one sub-layer of every layer is what the sub-layer costs in a model.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from leanformer.encoders.carried import LEAN_CLASSES
from leanformer.encoders.families import family_of
from leanformer.encoders.lean import config_for
from leanformer.encoders.saving import save_model
from leanformer.export.cpu import cpu
from leanformer.export.parity import sample_texts
from leanformer.export.runtimes import Runner, load_runner
from leanformer.export.variants import ensure_artefact
from leanformer.measure.latency.table import Setting, Shape, Subject
from leanformer.tasks.encode import model_max_tokens

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

MOST_LAYERS = 6
"""Layers of a probe; more take longer to export and tell no more."""

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def subject_of(config: PreTrainedConfig) -> Subject:
    """Return what a model's latency table is of, on this machine.

    Args:
        config: The model's configuration, dense or compressed; the sizes are those of its dense form.

    Returns:
        The subject.

    Raises:
        ModelError: The architecture is not supported.
    """
    family = family_of(config)
    heads, hidden = config.num_attention_heads, config.hidden_size
    layers = min(max(config.num_hidden_layers, 2), MOST_LAYERS)
    width = getattr(config, family.width_name)
    return Subject(cpu().name, family.name, hidden, hidden // heads, heads, width, layers)


@dataclass(frozen=True)
class Workshop:
    """Makes probes of one model in a scratch folder.

    Attributes:
        config: The model's configuration.
        folder: Where probes are written.
        seed: Of their weights and token ids.
    """

    config: PreTrainedConfig
    folder: Path
    seed: int

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """A tokenizer that spells English; a small vocabulary, since a look-up costs the same in a large one."""
        from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

        pieces = (*SPECIAL_TOKENS, *LETTERS, *(f"##{letter}" for letter in LETTERS))
        vocabulary = {piece: index for index, piece in enumerate(pieces)}
        length = getattr(self.config, "max_position_embeddings", None)
        tokenizer_class: Any = tokenizer_class_from_name("BertTokenizerFast")
        return tokenizer_class(
            vocab=vocabulary, model_max_length=length or 512, model_input_names=self.inputs
        )

    @cached_property
    def longest(self) -> int:
        """The longest text that the model takes, in tokens."""
        return model_max_tokens(self.model(Shape(0, 0, 1)), self.tokenizer)

    @cached_property
    def texts(self) -> Dataset:
        """A few encoded sentences, to prove exports on and to calibrate int8, whose speed is that of any texts."""
        return sample_texts(self.model(Shape(0, 0, 1)), self.tokenizer)

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs that the family's own tokenizer gives."""
        types = getattr(self.config, "type_vocab_size", None) or 1
        return ["input_ids", "attention_mask", *(["token_type_ids"] if types > 1 else [])]

    def model(self, shape: Shape) -> Any:
        """Return a probe with random weights.

        Args:
            shape: Its layers.

        Returns:
            A lean sequence classifier in eval mode.
        """
        family = family_of(self.config)
        lean_class = LEAN_CLASSES[family.name]["AutoModelForSequenceClassification"]
        layers = {"num_attention_heads": shape.heads, "intermediate_size": shape.width}
        config = config_for(
            lean_class,
            self._resized(shape.layers),
            per_layer_config={layer: dict(layers) for layer in range(shape.layers)},
        )
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return lean_class(config).eval()

    def runner(self, shape: Shape, runtime: str, precision: str, threads: int) -> Runner:
        """Make a probe ready for a runtime; what is written on the way stays for the next one of the same shape.

        Args:
            shape: The probe.
            runtime: "torch", "onnxruntime" or "openvino".
            precision: One that the runtime has.
            threads: Its threads.

        Returns:
            The runner.

        Raises:
            ModelError: If the probe can not be exported, quantised or loaded.
        """
        home = self._home(shape)
        if not home.exists():
            save_model(self.model(shape), self.tokenizer, home)
        return ready_runner(home, runtime, precision, threads, self.tokenizer, self.texts)

    def discard(self, shape: Shape) -> None:
        """Remove what was written of a probe."""
        shutil.rmtree(self._home(shape), ignore_errors=True)

    def batch(self, setting: Setting) -> Mapping[str, np.ndarray]:
        """Return a batch of random token ids for a probe: see `random_batch`."""
        return random_batch(setting, self.inputs, len(self.tokenizer), self.seed)

    def _home(self, shape: Shape) -> Path:
        return self.folder / f"{shape.heads}-{shape.width}-{shape.layers}"

    def _resized(self, layers: int) -> PreTrainedConfig:
        """Return the configuration with other layers, a small vocabulary and two classes."""
        config = copy.deepcopy(self.config)
        changes: dict[str, Any] = {
            "num_hidden_layers": layers,
            "vocab_size": len(self.tokenizer),
            "num_labels": 2,
            "pad_token_id": 0,
            **{name: 2 for name in ("bos_token_id", "cls_token_id")},
            **{name: 3 for name in ("eos_token_id", "sep_token_id")},
        }
        if kinds := getattr(config, "layer_types", None):  # in families whose layers attend differently
            changes["layer_types"] = [kinds[layer % len(kinds)] for layer in range(layers)]
        for name, value in changes.items():
            setattr(config, name, value)
        return config


def ready_runner(
    home: Path,
    runtime: str,
    precision: str,
    threads: int,
    tokenizer: PreTrainedTokenizerBase,
    texts: Dataset,
) -> Runner:
    """Make a saved model ready for a runtime, exporting and quantising it where that is not done yet.

    Args:
        home: The model's folder, in which the exports are put too.
        runtime: "torch", "onnxruntime" or "openvino".
        precision: One that the runtime has.
        threads: Its threads.
        tokenizer: The model's tokenizer.
        texts: Encoded texts, to prove exports on and to calibrate int8.

    Returns:
        The runner.

    Raises:
        ModelError: If the model can not be exported, quantised or loaded.
    """
    source = home
    if runtime != "torch":
        kind = "int8" if precision == "int8" else "fp32"  # bf16 is computed from the same file
        source = ensure_artefact(home, home, runtime, kind, tokenizer, texts, texts)
    return load_runner(source, runtime, precision, threads)


def random_batch(
    setting: Setting, inputs: Sequence[str], vocabulary: int, seed: int
) -> Mapping[str, np.ndarray]:
    """Return a batch of random token ids, of which one text is a token shorter, as in batches of real texts.

    Args:
        setting: Texts a batch, and their length.
        inputs: Names of the model's inputs.
        vocabulary: How many token ids the model knows.
        seed: Same seed, same batch.

    Returns:
        int64 arrays of (batch, tokens).
    """
    shape = (setting.batch, setting.tokens)
    generator = np.random.default_rng(seed)
    ids = generator.integers(len(SPECIAL_TOKENS), vocabulary, shape, dtype=np.int64)
    mask = np.ones(shape, dtype=np.int64)
    if setting.batch > 1:
        ids[-1, -1], mask[-1, -1] = 0, 0
    every = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros(shape, dtype=np.int64)}
    return {name: every[name] for name in inputs}
