"""What does an epoch cost? MiniLM on MRPC, trained plainly and with leanformer's defaults; both scores beside.

    python benchmarks/training_speed.py --data ../shared/data/glue

Plain is float32, AdamW that is not fused, embedding tables that train, rows in random order and PyTorch's fused
attention. Both train the whole recipe of a dense fine-tuning, and are scored on MRPC's validation and labelled test
rows. Then each choice alone is taken back, on the same few rows, in rounds in which all take turns: what each is
worth on this machine. Needs the extra `demo`, or --model.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback, Trainer, set_seed
from transformers.training_args import OptimizerNames

from grid import RESULTS, write_result
from leanformer.demo import model_folder
from leanformer.measure.clock import abba
from leanformer.measure.statistics import bootstrap_ratio_interval, paired_drop
from leanformer.tasks.encode import encode, longest_input
from leanformer.tasks.heads import load_model, silence
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.metrics import score
from leanformer.tasks.predict import predict
from leanformer.training.config import TrainingConfig
from leanformer.training.finetune import fine_tune
from leanformer.training.objective import Objective
from leanformer.training.teacher import has_fast_bfloat16
from leanformer.training.trainer import (
    Collator,
    CompressionTrainer,
    fast_attention,
    trainable,
    training_arguments,
    training_columns,
)

TASK = "mrpc"
SEED = 0
ROUNDS = 4
SHORT_ROWS = 512


@dataclass(frozen=True)
class Choices:
    """What leanformer does otherwise than a plain training.

    Attributes:
        fused_optimiser: AdamW in one kernel.
        frozen_embeddings: The embedding tables do not train.
        grouped_lengths: Rows of like length share a batch.
        plain_attention: Attention written out, instead of PyTorch's fused one.
        bfloat16: Autocast, where the machine is fast at it; elsewhere this choice changes nothing.
        no_dropout: As in recovery; a dense fine-tuning has dropout.
    """

    fused_optimiser: bool = True
    frozen_embeddings: bool = True
    grouped_lengths: bool = True
    plain_attention: bool = True
    bfloat16: bool = True
    no_dropout: bool = False


PLAIN = Choices(False, False, False, False, False)
DEFAULTS = Choices()


class Arm(CompressionTrainer):
    """leanformer's trainer with rows in random order where lengths are not to be grouped."""

    grouped = True

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.grouped:
            return super()._get_train_sampler(train_dataset)
        return Trainer._get_train_sampler(self, train_dataset)


@dataclass(frozen=True)
class Material:
    """The task's rows, and where the model lies that each training starts from."""

    source: str
    task: Any
    train: Any
    unseen: Any

    def fresh(self) -> tuple[Any, Any]:
        """Return the model with the same fresh head each time, and its tokenizer."""
        set_seed(SEED)
        model, tokenizer, _ = load_model(self.source, self.task, finetune=True)
        return model, tokenizer


def material(source: str, data: Path, rows: int | None) -> Material:
    """Load and encode MRPC; validation and labelled test rows together are scored on, and nothing is chosen."""
    from datasets import concatenate_datasets

    loaded = load_data(DataSpec(source=TASK, data_dir=str(data), train_rows=rows))
    model, tokenizer, _ = load_model(source, loaded.task, finetune=True)
    longest = longest_input(model, tokenizer, None)
    train, *unseen = (
        encode(rows, tokenizer, longest, True)
        for rows in (loaded.train, loaded.validation, loaded.test)
        if rows is not None
    )
    return Material(source, loaded.task, train, concatenate_datasets(unseen))


def trainer_of(
    given: Material, choices: Choices, config: TrainingConfig, rows: Any, folder: Path
) -> CompressionTrainer:
    """Return a trainer with these choices, of a fresh model; it writes no checkpoints."""
    model, tokenizer = given.fresh()
    trainable(model, train_embeddings=not choices.frozen_embeddings)
    arguments = training_arguments(config, config.epochs * -(-len(rows) // config.batch_size), folder)
    arguments.optim = OptimizerNames("adamw_torch_fused" if choices.fused_optimiser else "adamw_torch")
    arguments.bf16 = arguments.bf16 and choices.bfloat16
    arguments.save_strategy = "no"
    trainer = Arm(
        model=model,
        args=arguments,
        train_dataset=training_columns(rows),
        data_collator=Collator(tokenizer, regression=False),
        objective=Objective(),
        dropout=not choices.no_dropout,
    )
    trainer.grouped = choices.grouped_lengths
    trainer.remove_callback(PrinterCallback)
    return trainer


def trained(
    given: Material, choices: Choices, config: TrainingConfig, rows: Any
) -> tuple[float, CompressionTrainer]:
    """Train with these choices; return seconds and the trainer, whose model is in eval mode."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(given, choices, config, rows, Path(folder))
        attention = fast_attention(trainer.model) if choices.plain_attention else nullcontext()
        with silence(), attention:
            started = time.perf_counter()
            trainer.train()
            seconds = time.perf_counter() - started
    trainer.model.eval()
    return seconds, trainer


def facts_of(trainer: CompressionTrainer) -> dict[str, Any]:
    """Say what a trainer really did: its optimiser, and the parameters that trained."""
    groups = trainer.optimizer.param_groups
    return {
        "optimiser": type(getattr(trainer.optimizer, "optimizer", trainer.optimizer)).__name__,
        "fused": all(bool(group.get("fused")) for group in groups),
        "trained_parameters": sum(one.numel() for group in groups for one in group["params"]),
        "parameters": sum(one.numel() for one in trainer.model.parameters()),
        "padding_share": padding_share(trainer),
        "autocast": bool(trainer.args.bf16),
    }


def padding_share(trainer: CompressionTrainer) -> float:
    """Return which share of the tokens that an epoch computes is padding."""
    masks = [batch["attention_mask"] for batch in trainer.get_train_dataloader()]
    return 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)


def whole(given: Material, config: TrainingConfig) -> dict[str, Any]:
    """Train the whole recipe plainly, and by default through the library's own door; both are scored."""
    plain_seconds, plain = trained(given, PLAIN, config, given.train)
    model, tokenizer = given.fresh()
    with tempfile.TemporaryDirectory() as folder:
        usual = fine_tune(model, tokenizer, given.task, given.train, config, Path(folder), "Defaults")
        grouped = padding_share(trainer_of(given, DEFAULTS, config, given.train, Path(folder)))
    labels = np.asarray(given.unseen["label"][:])
    logits = [predict(one, given.unseen, tokenizer) for one in (plain.model, model)]
    scores = [score(given.task.metric, one, labels) for one in logits]
    seconds = [plain_seconds / config.epochs, usual.seconds / config.epochs]
    drop, low, high = paired_drop(given.task.metric, *logits, labels, SEED)
    paddings = (padding_share(plain), grouped)
    sides = zip(("plain", "defaults"), seconds, scores, paddings, strict=True)
    return {
        "metric": given.task.metric,
        "n": len(labels),
        "epochs": config.epochs,
        **{
            name: {"seconds_an_epoch": spent, "score": reached, "padding_share": padding}
            for name, spent, reached, padding in sides
        },
        "ratio": seconds[0] / seconds[1],
        "drop_points": drop,
        "drop_interval": [low, high],
    }


def arms() -> Iterator[tuple[str, Choices]]:
    """Yield the defaults, each choice taken back, recovery's without dropout, and the plain training."""
    yield "defaults", DEFAULTS
    for field in fields(Choices):
        if field.name == "no_dropout":
            yield "without dropout, as in recovery", replace(DEFAULTS, no_dropout=True)
        elif field.name != "bfloat16" or has_fast_bfloat16():
            yield f"without {field.name.replace('_', ' ')}", replace(DEFAULTS, **{field.name: False})
    yield "plain", PLAIN


def rounds_of(
    given: Material, config: TrainingConfig, rows: Any, rounds: int
) -> tuple[dict[str, list[float]], Any]:
    """Train all arms on a few rows in turns; return seconds by arm and round, and what each really did."""
    every = dict(arms())
    taken: dict[str, list[float]] = {name: [] for name in every}
    facts: dict[str, Any] = {}
    trained(given, DEFAULTS, config, rows)  # the first one pays for what is loaded lazily
    for number, order in enumerate(abba(list(every), SEED)):
        if number == rounds:
            break
        for name in order:
            seconds, trainer = trained(given, every[name], config, rows)
            taken[name].append(seconds)
            facts[name] = facts.get(name) or facts_of(trainer)
        print(
            f"round {number + 1}: { ({name: round(spent[-1], 1) for name, spent in taken.items()}) }",
            flush=True,
        )
    return taken, facts


def each(taken: Mapping[str, list[float]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return by arm how many times longer it takes than the defaults, with its interval."""
    return {
        name: {
            "seconds": float(np.median(spent)),
            "times_the_defaults": list(bootstrap_ratio_interval(spent, taken["defaults"], SEED)),
            "rounds_s": spent,
            **facts[name],
        }
        for name, spent in taken.items()
    }


def main() -> int:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder with MRPC/")
    parser.add_argument("--model", help="an encoder's folder; the demo's MiniLM by default")
    parser.add_argument("--rows", type=int, help="train on the first so many rows, 3 epochs; all by default")
    parser.add_argument(
        "--short-rows", type=int, default=SHORT_ROWS, help="on which each choice is taken back"
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="of taking each choice back; an even number"
    )
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    given = material(options.model or str(model_folder()), options.data, options.rows)
    config = TrainingConfig.for_teacher(len(given.train), quick=options.rows is not None, seed=SEED)
    short = given.train.shuffle(seed=SEED).select(range(options.short_rows))
    figures = {
        "model": "all-MiniLM-L6-v2" if options.model is None else options.model,
        "task": TASK,
        "rows": len(given.train),
        "config": asdict(config),
        "short_rows": len(short),
        "each": each(*rounds_of(given, replace(config, epochs=1), short, options.rounds)),
        "whole": whole(given, config),
    }
    command = (
        f"python benchmarks/training_speed.py --data {options.data} --short-rows {options.short_rows} "
        f"--rounds {options.rounds} --threads {options.threads}"
    )
    command += f" --rows {options.rows}" if options.rows else ""
    command += f" --model {options.model}" if options.model else ""
    write_result(RESULTS / "training_speed.json", figures, SEED, options.threads, command)
    print(figures["whole"])
    for name, found in figures["each"].items():
        ratio, low, high = found["times_the_defaults"]
        print(f"{name}: {found['seconds']:.1f} s, {ratio:.2f} times the defaults ({low:.2f} to {high:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
