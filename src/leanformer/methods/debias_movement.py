"""Debiasing by movement pruning (Joniak & Aizawa 2022, "Gender Biases and Where to Find Them", arXiv 2207.02463).

What the paper and its code state: a pre-trained encoder's weights are frozen; gates on blocks of attention, on whole
heads and on neurons of the FFN learn movement scores from the objective of Kaneko & Bollegala 2021,
0.2 L_debias + 0.8 L_retain; L_debias = sum_t sum_a (v_a . E(t))^2 over target words t and attributes a (male and
female), v_a the mean state of a's words; L_retain the squared distance of attribute words to the original model's,
over all layers. Soft movement: sigmoid(S) > tau, tau from 0 to 0.1 on a cubic schedule, a penalty on sigmoid(S), Adam
at 1e-2, 100 epochs of batches of 128 sentences of News-Commentary. SEAT 6, 7 and 8 and GLUE say what it came to. Its
tables were not readable here, so no figure of it is given.

In its code the sum over a is inside the square, so that male and female can cancel; here it is the paper's form. The
code's regulariser lacks its lambda and its warm-up; here it has both.

Ours:
- levels: a training closes a given share of the encoder's weights through one cut by cost ("share", the default), so
  that there is a curve; the scores of such a training add up -dL/dM, since hundreds of steps of Adam are next to a
  random walk (see `movement`). "threshold" is the paper's selection: a level is then the penalty's lambda;
- v is that of the dense model, once: weights are frozen, and L_retain holds attribute words where they are;
- a head's gate is on what the head gives, which is the code's "values only", and slicing removes it as it is;
- sentences come from any text, with our own word lists. First names are no attribute words, but many target words
  (of art, science, family and career) are those of SEAT, as in the published lists: the run says how many;
- `scale` "alike" makes all layers count alike: the paper's sum is one of squares of products of two states, in which
  layers of long states outweigh all others;
- which level becomes the model is decided on rows of train and on our own word tests, not on SEAT's;
- after training, what is empty is sliced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer.encoders.view import EncoderView
from leanformer.methods.method import Value
from leanformer.methods.movement import GATED, LEARNING_RATE, TAU, TRAVEL, block_of
from leanformer.structure.cost import unit_costs
from leanformer.structure.masks import Masks
from leanformer.tasks.task import Task
from leanformer.training.config import TrainingConfig
from leanformer.training.finetune import fine_tune
from leanformer.training.gates import gate_shapes, gates_in_force
from leanformer.training.neutral import Anchors, Neutral, Of
from leanformer.training.objective import Objective
from leanformer.training.penalties import Ramped
from leanformer.training.straight_through import (
    AboveThreshold,
    Ramp,
    SelectedGates,
    StraightThrough,
    TopOfAll,
)
from leanformer.training.summed import Summed, SummedGates

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

START, END = 0.1, 0.8  # of the ramp to the level; it holds after it
LAYERS = ("all", "first", "last", "intermediate")
INTERMEDIATE = range(1, 5)  # hidden states 1 to 4, as in the paper's code
_WORDS = Task(
    "words", "token-classification", pair=False, labels=("male", "female", "target"), metric="token-accuracy"
)


@dataclass(frozen=True)
class Case:
    """What is debiased.

    Attributes:
        model: The dense model; it is left as it is.
        tokenizer: Its tokenizer.
        rows: Sentences with their words, see `leanformer.training.word_rows`.
        anchors: What the dense model says of them.
        granularity: A key of `leanformer.methods.movement.GATED`.
        options: The method's settings.
        seed: Of the order of the rows.
        folder: Keeps checkpoints, so that a killed training goes on.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    rows: Dataset
    anchors: Anchors
    granularity: str
    options: Mapping[str, Value]
    seed: int
    folder: Path


def objective(case: Case) -> Neutral:
    """Return what the gates minimise.

    Args:
        case: Model and settings.

    Returns:
        The objective.
    """
    last = EncoderView(case.model).n_layers
    everywhere = range(1, last + 1)
    named = {"all": everywhere, "first": [1], "last": [last], "intermediate": INTERMEDIATE}
    layers = tuple(layer for layer in named[str(case.options["layers"])] if layer in everywhere)
    of: Of = "sentence" if case.options["of"] == "sentence" else "word"
    alike = case.options["scale"] == "alike"
    return Neutral(case.anchors, layers, of, float(case.options["debias"]), alike)


def gates_of(case: Case, level: float) -> SelectedGates:
    """Return the gates of a granularity, all open, under the selection of a level.

    Args:
        case: Model and settings.
        level: The share of the gated weights that is closed in the end; with "threshold" the penalty's lambda.

    Returns:
        The gates.
    """
    view, steps = EncoderView(case.model), int(case.options["steps"])
    shapes = {
        key: (shape, block_of(case.granularity, shape))
        for key, shape in gate_shapes(view, GATED[case.granularity]).items()
    }
    if case.options["selection"] == "share":
        summed = {key: Summed(*shape) for key, shape in shapes.items()}
        return SummedGates(summed, TopOfAll(Ramp(START, END, level)), unit_costs(view), steps)
    scored = {key: StraightThrough(*shape) for key, shape in shapes.items()}
    rate, tau = max(LEARNING_RATE, TRAVEL / steps), AboveThreshold(Ramp(0.0, END, TAU))
    return SelectedGates(scored, rate, tau, unit_costs(view), steps, Ramped(level, START, END))


def trained_masks(case: Case, level: float) -> tuple[Masks, dict[str, Any]]:
    """Train the gates of one level; a killed training goes on from its checkpoint.

    Args:
        case: Model, rows and settings.
        level: See `gates_of`.

    Returns:
        0/1 masks of units and matrices, and the training's facts.
    """
    gates = gates_of(case, level)
    steps, batch = int(case.options["steps"]), int(case.options["batch"])
    config = TrainingConfig(
        learning_rate=LEARNING_RATE,
        epochs=-(-steps // max(1, -(-len(case.rows) // batch))),
        batch_size=batch,
        seed=case.seed,
        only="gates",
        dropout=False,
        max_steps=steps,
    )
    goal = Objective(task=0.0, neutral=objective(case))
    with gates_in_force(case.model, gates):
        result = fine_tune(
            case.model,
            case.tokenizer,
            _WORDS,
            case.rows,
            config,
            case.folder,
            f"Debiasing, level {level:g}",
            goal,
            gates=gates,
        )
        gates.select(1.0)  # the last step's scores count, too
    curve = [{"step": step, "loss": loss} for step, loss in result.curve]
    return gates.masks(), {"seconds": result.seconds, "steps": result.steps, "curve": curve}
