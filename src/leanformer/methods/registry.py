"""The methods that users can name. Listing them needs no torch: a method is imported when it runs."""

from __future__ import annotations

from leanformer.methods.dynamic import DYNAMIC
from leanformer.methods.method import Method, Option, pick

_AE_BERT_PAPER = "An Automatic and Efficient BERT Pruning for Edge AI Systems (AE-BERT), arXiv 2206.10461"
_MAGNITUDE_PAPER = "Learning both Weights and Connections for Efficient Neural Networks, arXiv 1506.02626"
_GRADUAL_PAPER = (
    "To prune, or not to prune: exploring the efficacy of pruning for model compression, arXiv 1710.01878"
)
_BOTH = ("unit", "weight")
_WEIGHT_FIRST = ("weight", "unit")
_DISTILLED = "distilled from the dense model"

_ALL = (
    Method(
        name="auto",
        paper="none: the cheapest of the project's own steps that meets the budget, each measured",
        year=2026,
        granularities=("unit",),
        removes="nothing where a runtime or int8 will do; else what AE-BERT finds, without or with training",
        trains="only where no cheaper step meets the budget",
        cost="from minutes to an hour: it stops at the first step that will do",
        entry="leanformer.methods.auto:run",
        in_league=False,
    ),
    Method(
        name="ae-bert",
        paper=_AE_BERT_PAPER,
        year=2022,
        granularities=_BOTH,
        removes="searches allocations under the pruning ratio, evolves the best by swaps, judges them cheaply",
        trains=_DISTILLED,
        cost="a search without training, and one recovery",
        entry="leanformer.methods.ae_bert:run",
    ),
    Method(
        name="ae-bert-random",
        paper=_AE_BERT_PAPER,
        year=2022,
        granularities=_BOTH,
        removes="the paper's own generator: random allocations under the pruning ratio, judged cheaply",
        trains=_DISTILLED,
        cost="a search without training, and one recovery",
        entry="leanformer.methods.ae_bert:run_random",
    ),
    Method(
        name="one-shot",
        paper="A Fast Post-Training Pruning Framework for Transformers, arXiv 2204.09656; with K-prune's repair in "
        "sequence (arXiv 2308.03449) and ZipLM's order of removal (arXiv 2302.04089)",
        year=2022,
        granularities=("unit",),
        removes="what the rest can best make good for (OBS), searched as ae-bert does; minutes, no label is read",
        trains="nothing: least squares re-fit what is left, sub-layer by sub-layer",
        cost="a search without training: minutes",
        entry="leanformer.methods.one_shot:run",
    ),
    Method(
        name="drop-layers",
        paper="On the Effect of Dropping Layers of Pre-trained Transformer Models, arXiv 2004.03844",
        year=2023,
        granularities=("layer",),
        removes="whole layers, by position, weights or contribution",
        trains=_DISTILLED,
        cost="one recovery",
        entry="leanformer.methods.drop_layers:run",
        options=(
            Option(
                "strategy",
                "top",
                "which layers go",
                ("top", "bottom", "alternate-odd", "alternate-even", "symmetric", "weight", "contribution"),
            ),
        ),
    ),
    Method(
        name="taylor-heads",
        paper="Are Sixteen Heads Really Better than One?, arXiv 1905.10650",
        year=2019,
        granularities=("head",),
        removes="the heads that the loss is least sensitive to; the pruning ratio is a share of the heads",
        trains="nothing",
        cost="gradients of 2,048 rows and 21 scorings on held-out rows: minutes",
        entry="leanformer.methods.taylor_heads:run",
        options=(
            Option("normalise", "layer", "whether scores are divided by their layer's norm", ("layer", "no")),
            Option("ablations", "no", "each head alone, and all but one of a layer: minutes", ("no", "yes")),
        ),
        goes_by_score=True,
    ),
    Method(
        name="l0-heads",
        paper="Analyzing Multi-Head Self-Attention: Specialized Heads Do the Heavy Lifting, the Rest Can Be Pruned, "
        "arXiv 1905.09418",
        year=2019,
        granularities=("head",),
        removes="the heads whose trained gates close; the pruning ratio is a share of the heads",
        trains=f"{_DISTILLED} together with the gates",
        cost="one recovery with gates",
        entry="leanformer.methods.l0_heads:run",
        options=(
            Option("lambda", 0.0, "the paper's weight of an open gate; 0: what the pruning ratio needs"),
        ),
    ),
    Method(
        name="astar-heads",
        paper="Pruning Attention Heads of Transformer Models Using A* Search, arXiv 2110.15225 (a reconstruction)",
        year=2021,
        granularities=("head",),
        removes="the largest set of heads that a measured bound on the score allows (--max-drop, 0.5 points)",
        trains="nothing; with the option refit, distilled from the dense model",
        cost="log2(heads) scorings on held-out rows, and up to expansions x width more",
        entry="leanformer.methods.astar_heads:run",
        options=(
            Option("expansions", 12, "after so many sets the largest so far is taken"),
            Option("width", 6, "heads that a set is tried with at a time"),
            Option(
                "weight", 0.25, "of the heads that may yet leave, in (0, 1]; 1: A* proper, small sets first"
            ),
            Option("refit", "no", "whether what is left is distilled", ("no", "yes")),
        ),
        goes_by_score=True,
        default_drop_points=0.5,
    ),
    Method(
        name="accuracy-driven",
        paper="Optimizing Transformers with Approximate Computing for Faster, Smaller and more Accurate NLP Models "
        "(AxFormer)",
        year=2020,
        granularities=("unit",),
        removes="whatever held-out rows are better without: blocks, groups of 256 neurons, heads; hard attention",
        trains="nothing; with the option refit, distilled from the dense model",
        cost="a scoring on held-out rows for each layer, block, group and head",
        entry="leanformer.methods.accuracy_driven:run",
        options=(
            Option("hard_attention", "yes", "whether layers are tried with 30 tokens a query", ("yes", "no")),
            Option("refit", "no", "whether what is left is distilled", ("no", "yes")),
        ),
        goes_by_score=True,
        default_drop_points=1.0,
        takes_ratio=False,
    ),
    Method(
        name="movement",
        paper="Movement Pruning: Adaptive Sparsity by Fine-Tuning, arXiv 2005.07683; Block Pruning For Faster "
        "Transformers, arXiv 2109.04838",
        year=2020,
        granularities=("unit", "head", "neuron", "weight", "block", "hybrid"),
        removes="what moves towards zero while it trains; what is empty is sliced",
        trains=f"{_DISTILLED} together with the scores",
        cost="one recovery with scores, each step with a second backward pass; two where zeros are filled",
        entry="leanformer.methods.movement:run",
        counts_weights=True,
        options=(
            Option(
                "selection",
                "global",
                "one cut through all scores, the same share of each matrix or layer, or sigmoid(score) > 0.1",
                ("global", "local", "threshold"),
            ),
            Option(
                "scores",
                "usual",
                "sums of gradients as they are, Adam's, or Adam's from the weights' magnitudes on; usual: the last "
                "for single weights, sums for all else",
                ("usual", "sum", "adam", "magnitude"),
            ),
            Option(
                "lambda", 10.0, "the penalty's weight where selection is threshold; no ratio is aimed at then"
            ),
            Option(
                "fill", "no", "whether zeros that slicing leaves are filled and trained again", ("no", "yes")
            ),
        ),
    ),
    Method(
        name="grain",
        paper="Gradient-based Intra-attention Pruning on Pre-trained Language Models (GRAIN), arXiv 2212.07634",
        year=2023,
        granularities=("dimension",),
        removes="the dimensions of heads, and the neurons, to which the teacher's answers are least sensitive",
        trains=f"{_DISTILLED} while it shrinks",
        cost="one recovery, each step with a second backward pass",
        entry="leanformer.methods.grain:run",
        options=(
            Option(
                "heads",
                "even",
                "whether all heads of a layer keep the same sizes",
                ("even", "ragged"),
            ),
            Option("embedding_rank", 0, "columns of a factorised table of word embeddings; 0: as it is"),
        ),
        counts_weights=True,
    ),
    Method(
        name="robust-tickets",
        paper="Robust Lottery Tickets for Pre-trained Language Models, arXiv 2211.03013",
        year=2022,
        granularities=_WEIGHT_FIRST,
        removes="the weights, or heads and neurons, whose gates an adversarial training closes",
        trains="gates alone, under attack; the weights stay as they are",
        cost="a training of gates with three passes a step, and an attack on both models",
        entry="leanformer.methods.robust_tickets:run",
        options=(
            Option(
                "retrain",
                "no",
                "whether what is left is trained on the labels, as in the paper",
                ("no", "yes"),
            ),
        ),
        counts_weights=True,
    ),
    *DYNAMIC,
    Method(
        name="multitask",
        paper="Pruning Pretrained Encoders with a Multitask Objective, arXiv 2112.05705 (a reconstruction)",
        year=2021,
        granularities=("weight", "rank", "unit"),
        removes="from one encoder for several tasks: weights or units as movement does, or ranks by trained gates",
        trains="one encoder, distilled from a dense model of each task",
        cost="a dense training for each further task, and one recovery on the rows of all",
        entry="leanformer.methods.multitask:run",
        options=(
            Option("with", "", "the other tasks: DATA or NAME@FOLDER, separated by commas", is_path=True),
            Option("rows", 0, "training rows of each other task at most; 0: all"),
            Option(
                "selection",
                "local",
                "the same share of each matrix, or one cut through all",
                ("local", "global"),
            ),
        ),
        in_league=False,
        counts_weights=True,
    ),
    Method(
        name="uniform-magnitude",
        paper=_MAGNITUDE_PAPER,
        year=2015,
        granularities=_BOTH,
        removes="the smallest magnitudes, the same share everywhere",
        trains=_DISTILLED,
        cost="one recovery",
        entry="leanformer.methods.magnitude:uniform",
    ),
    Method(
        name="global-magnitude",
        paper=_MAGNITUDE_PAPER,
        year=2015,
        granularities=_BOTH,
        removes="the smallest magnitudes of the whole encoder",
        trains=_DISTILLED,
        cost="one recovery",
        entry="leanformer.methods.magnitude:global_",
    ),
    Method(
        name="gradual-magnitude",
        paper=_GRADUAL_PAPER,
        year=2017,
        granularities=_BOTH,
        removes="the smallest magnitudes, more of them as training goes on (cubic schedule)",
        trains=f"{_DISTILLED} while it shrinks",
        cost="one recovery",
        entry="leanformer.methods.magnitude:gradual",
    ),
)

METHODS: dict[str, Method] = {method.name: method for method in _ALL}


def find_method(name: str, granularity: str | None = None) -> Method:
    """Return the method of that name, if it works at that granularity.

    Args:
        name: A key of `METHODS`.
        granularity: What is to be removed, for example "unit"; None where any will do.

    Returns:
        The method.

    Raises:
        BudgetError: If there is no such method, or it does not work at that granularity.
    """
    return pick(METHODS, name, granularity)
