"""The methods of `leanformer debias`; as in `registry`, listing them needs no torch."""

from __future__ import annotations

from leanformer.methods.method import Method, Option, pick

MOVEMENT, DISTILLATION = "debias-movement", "fair-distillation"

DEBIAS_METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            name=MOVEMENT,
            paper="Gender Biases and Where to Find Them, arXiv 2207.02463",
            year=2022,
            granularities=("unit", "head", "neuron", "block", "hybrid"),
            removes="what carries gender into other words, by gates that train while all weights are frozen",
            trains="nothing: weights stay as they are",
            cost="a training of gates for each level: minutes each",
            entry="leanformer.methods.debias_movement:trained_masks",
            options=(
                Option(
                    "selection",
                    "share",
                    "what a level is: a share that closes, or the penalty",
                    ("share", "threshold"),
                ),
                Option(
                    "layers", "all", "whose states are debiased", ("all", "first", "last", "intermediate")
                ),
                Option("of", "word", "what of a sentence is debiased", ("word", "sentence")),
                Option(
                    "scale",
                    "paper",
                    "the paper's sum over layers, or one in which all count alike",
                    ("paper", "alike"),
                ),
                Option("debias", 0.2, "weight of debiasing; the rest retains"),
                Option("steps", 120, "optimiser steps of a level"),
                Option("batch", 32, "sentences a step"),
                Option(
                    "sentences", 2000, "read from the text: half with target words, a quarter of each gender"
                ),
                Option(
                    "words",
                    "",
                    "JSON file with male, female and target words; our own lists without it",
                    is_path=True,
                ),
            ),
        ),
        Method(
            name=DISTILLATION,
            paper="FairDistillation, ECML-PKDD",
            year=2022,
            granularities=("layer",),
            removes="layers: the student is shallower than its teacher, which gives the words of a group one logit",
            trains="distilled: KL to the even teacher, masked words, last states",
            cost="one distillation, and another one as a control",
            entry="leanformer.methods.fair_distillation:distilled",
            options=(
                Option("layers", 0, "of the student; 0 is half of the teacher's"),
                Option("even", "logits", "what of a group becomes one", ("logits", "probabilities")),
                Option(
                    "labels",
                    "true",
                    "what a blank with a word of a group says: the word, or nothing",
                    ("true", "free"),
                ),
                Option("start", "teacher", "the student's first weights", ("teacher", "random")),
                Option("control", "yes", "a second student without the groups", ("yes", "no")),
                Option("rows", 8000, "texts that are read"),
                Option("tokens", 64, "of a text at most"),
                Option("batch", 32, "texts a step"),
                Option("learning_rate", 3e-4, "peak of the linear schedule"),
            ),
        ),
    )
}


def find_debias_method(name: str, granularity: str = "") -> Method:
    """Return the method of that name, if it works at that granularity.

    Args:
        name: A key of `DEBIAS_METHODS`.
        granularity: What is closed; "" where any will do.

    Returns:
        The method.

    Raises:
        BudgetError: If there is no such method, or it does not work at that granularity.
    """
    return pick(DEBIAS_METHODS, name, granularity or None)
