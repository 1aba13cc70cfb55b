"""How long and how fast a model trains; the defaults follow from the size of the data."""

from __future__ import annotations

from dataclasses import dataclass

RATE_OF_DAMAGE = 6.0  # dense learning rates for hidden states that are lost altogether
LEAST_RATE, MOST_RATE = 0.5, 10.0  # of the dense learning rate


@dataclass(frozen=True)
class TrainingConfig:
    """A training recipe.

    Attributes:
        learning_rate: Peak of the linear schedule.
        epochs: Passes over the training rows.
        batch_size: Rows a step.
        warmup_share: Share of the steps in which the learning rate rises.
        weight_decay: AdamW's decoupled decay.
        seed: Seed of the data order, dropout and new heads.
        train_embeddings: Whether the embedding tables train; frozen ones save most of the optimiser's time
            (30,522 x 384 of MiniLM's 22.7M parameters); what it costs in score was not measured.
        only: Names of the modules that train alone, such as "gates" or "exits"; all do where it names none.
        dropout: Whether dropout is on, as the model's configuration has it. Distillation does without: the soft
            targets regularise, and on CPUs dropout costs half of a small model's forward pass.
        max_steps: Stop after so many optimiser steps; 0 means all epochs.
    """

    learning_rate: float
    epochs: int
    batch_size: int = 32
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    seed: int = 0
    train_embeddings: bool = False
    only: str = ""
    dropout: bool = True
    max_steps: int = 0

    @classmethod
    def for_teacher(
        cls, rows: int, quick: bool = False, seed: int = 0, hidden_size: int = 384
    ) -> TrainingConfig:
        """Return the recipe of a dense fine-tuning.

        Args:
            rows: Training rows.
            quick: Three epochs whatever the size.
            seed: Seed of the run.
            hidden_size: Width of the encoder; narrow encoders want larger steps.

        Returns:
            Three epochs, BERT's own recipe for GLUE, and up to five where the data is small. On held-out rows, with
            both of two seeds, two epochs scored 0.6 points less than three on film reviews (6,142 rows that train),
            and three 4.6 to 5.4 points less than five on MRPC (3,301 rows); benchmarks/dense_epochs.py.
        """
        return cls(
            learning_rate=dense_rate(hidden_size),
            epochs=3 if quick else _epochs(rows, rows_seen=16_000, least=3, most=5),
            seed=seed,
        )

    @classmethod
    def for_recovery(
        cls, rows: int, damage: float, quick: bool = False, seed: int = 0, hidden_size: int = 384
    ) -> TrainingConfig:
        """Return the recipe of a distillation after pruning.

        The learning rate follows the damage. One rate for all is wrong at both ends: ten times the dense rate is best
        where the hidden states are lost, and undoes what a light pruning has left (docs/ae-bert.md, "How fast may
        recovery learn?").

        Args:
            rows: Training rows.
            damage: How far the model is from its teacher, see `leanformer.training.damage.damage`.
            quick: Two epochs whatever the size.
            seed: Seed of the run.
            hidden_size: Width of the encoder.

        Returns:
            Two epochs, and up to eight where the data is small, without dropout, at half to ten times the dense
            learning rate.
        """
        return cls(
            learning_rate=min(max(RATE_OF_DAMAGE * damage, LEAST_RATE), MOST_RATE) * dense_rate(hidden_size),
            epochs=2 if quick else _epochs(rows, rows_seen=16_000, least=2, most=8),
            seed=seed,
            dropout=False,
        )


def dense_rate(hidden_size: int) -> float:
    """Return the learning rate of a dense fine-tuning: BERT-base's usual 3e-5, the more the narrower the encoder.

    Args:
        hidden_size: Width of the encoder.

    Returns:
        The rate.
    """
    return 3e-5 * 768 / hidden_size


def _epochs(rows: int, rows_seen: int, least: int, most: int) -> int:
    return max(least, min(most, round(rows_seen / max(rows, 1))))
