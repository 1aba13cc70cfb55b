"""What the method is, said the same way in the page and in the model card."""

from __future__ import annotations

from typing import Any

from leanformer.report.ladder_words import chosen_rung

_STATEMENTS = {
    "ae-bert": (
        "AE-BERT, “An Automatic and Efficient BERT Pruning for Edge AI Systems” (ISQED 2022, arXiv 2206.10461). "
        "Of the paper only the abstract was readable and no public code exists, so this is a reconstruction: "
        "its details are ours, not the paper's."
    ),
    "one-shot": (
        "One-shot pruning without training or labels, after Kwon et al. 2022 (arXiv 2204.09656), K-prune (arXiv "
        "2308.03449) and ZipLM (arXiv 2302.04089): a reconstruction on this project's own search and repair."
    ),
    "drop-layers": (
        "Layer dropping after Sajjad et al. (arXiv 2004.03844); the rest is distilled, which the paper does not do."
    ),
    "taylor-heads": (
        "Head importance after Michel et al. 2019 (arXiv 1905.10650), by the paper's formula and not its code's."
    ),
    "l0-heads": (
        "Head pruning by L0 gates after Voita et al. 2019 (arXiv 1905.09418), with this project's distillation as "
        "the loss."
    ),
    "astar-heads": (
        "Head pruning by A* search after Parnami et al. 2021 (arXiv 2110.15225), of which only the abstract and the "
        "first page were readable: a reconstruction."
    ),
    "accuracy-driven": (
        "Accuracy-driven pruning after AxFormer (Nagarajan et al. 2020); removed blocks leave their output bias here."
    ),
    "power-bert": (
        "Token elimination after PoWER-BERT (Goyal et al. 2020, arXiv 2001.08950), by shares of a text's own length."
    ),
    "tr-bert": (
        "Token reduction after TR-BERT (Ye et al. 2021, arXiv 2105.11618), whose policy ranks the tokens of which a "
        "share of a text's own length stays."
    ),
    "length-adaptive": (
        "Length-Adaptive Transformer after Kim and Cho 2021 (arXiv 2010.07003), by shares of a text's own length."
    ),
    "token-merge": (
        "Token merging without training after ToMe (Bolya et al. 2023, arXiv 2210.09461), the same share of the "
        "tokens in each layer."
    ),
    "fastbert": "FastBERT after Liu et al. 2020 (arXiv 2004.02178).",
    "patience": (
        "PABEE after Zhou et al. 2020 (arXiv 2006.04152), with the last answers distilled from the dense model."
    ),
    "learned-exit": "Learning to exit after BERxiT (Xin et al. 2021), with the backbone standing still.",
    "auto": (
        "Method “auto” climbs a ladder of cost, from other runtimes for the dense model to pruning with "
        "distillation, and each rung is scored and timed before the next one."
    ),
}


def method_words(result: dict[str, Any]) -> str:
    """Name the method, its paper and its standing; a baseline is named alone.

    Args:
        result: The content of result.json.

    Returns:
        A few sentences; for a climb also those of the method of the rung that it ended at.
    """
    words = _STATEMENTS.get(result["method"], f"Method “{result['method']}”.")
    ladder = result.get("ladder")
    return f"{words} {_STATEMENTS.get(chosen_rung(ladder)['name'], '') if ladder else ''}".rstrip()
