"""The methods of the registry whose cost follows the text: fewer tokens in each layer, or fewer layers."""

from __future__ import annotations

from leanformer.methods.method import TRAINED, Method, Option

_TRAINED = Option(
    TRAINED,
    "",
    "folder of an earlier run of this method: what it has trained for every budget is taken over",
    is_path=True,
)
_DIAL = (
    _TRAINED,
    Option(
        "agreement",
        0.0,
        "share of the texts whose answer has to be the whole model's; 0: the budget decides",
        ends_work=True,
    ),
    Option("confidence", 0.95, "that it is, on texts like the held-out ones"),
)
DYNAMIC = (
    Method(
        name="power-bert",
        paper="PoWER-BERT: Accelerating BERT Inference via Progressive Word-vector Elimination, arXiv 2001.08950",
        year=2020,
        granularities=("token",),
        removes="the tokens that the others attend to least, in each layer as many as trained factors say; the "
        "pruning ratio is the share of the products of tokens with weights that is saved",
        trains="factors of the tokens' ranks together with the weights, then the weights without what has left; both "
        "distilled from the dense model",
        cost="two recoveries",
        entry="leanformer.methods.power_bert:run",
        options=(
            Option("lambda", 0.0, "the paper's weight of a layer's mass; 0: what the pruning ratio needs"),
        ),
        counts_weights=True,
    ),
    Method(
        name="tr-bert",
        paper="TR-BERT: Dynamic Token Reduction for Accelerating BERT Inference, arXiv 2105.11618",
        year=2021,
        granularities=("token",),
        removes="at two places the tokens that a small policy finds least worth reading on; the pruning ratio is the "
        "share of the products of tokens with weights that is saved",
        trains="the policy by trying (REINFORCE), then the weights without what has left, distilled from the dense "
        "model",
        cost="one recovery, before it one of the policy with nine passes a step, and a dozen candidates",
        entry="leanformer.methods.tr_bert:run",
        options=(
            Option("alpha", 1.0, "what a reward loses if all tokens stay, in units of the loss"),
            Option("samples", 8, "how often a batch's tokens are drawn"),
            _TRAINED,
        ),
        counts_weights=True,
    ),
    Method(
        name="length-adaptive",
        paper="Length-Adaptive Transformer: Train Once with Length Drop, Use Anytime with Search, arXiv 2010.07003",
        year=2021,
        granularities=("token",),
        removes="the tokens that the others attend to least, more of them in each layer; the pruning ratio is the "
        "share of the products of tokens with weights that is saved",
        trains="distilled from the dense model with all tokens, and from itself with fewer",
        cost="one recovery of four passes a step, and a search of 48 candidates without training",
        entry="leanformer.methods.length_adaptive:run",
        options=(_TRAINED,),
    ),
    Method(
        name="token-merge",
        paper="Token Merging: Your ViT But Faster (ToMe), arXiv 2210.09461",
        year=2023,
        granularities=("token",),
        removes="tokens of a text, merged into those whose keys are most like theirs, the same share in each layer "
        "(sentence embeddings); the pruning ratio is the share of the products of tokens with weights that is saved",
        trains="nothing",
        cost="nothing: seconds",
        entry="leanformer.methods.token_merge:run",
        counts_weights=True,
        in_league=False,
    ),
    Method(
        name="fastbert",
        paper="FastBERT: a Self-distilling BERT with Adaptive Inference Time, arXiv 2004.02178",
        year=2020,
        granularities=("exit",),
        removes="for each text the layers behind the first exit whose entropy is low enough; the pruning ratio is "
        "the share of the layers that does not run, on average",
        trains="exits alone, on the answers of the last layer",
        cost="one short training of the exits, and one pass over the held-out rows",
        entry="leanformer.methods.fastbert:run",
        options=_DIAL,
        goes_by_score=True,
    ),
    Method(
        name="patience",
        paper="BERT Loses Patience: Fast and Robust Inference with Early Exit (PABEE), arXiv 2006.04152",
        year=2020,
        granularities=("exit",),
        removes="for each text the layers behind the exit at which so many have agreed in a row",
        trains="exits and all else together on the labels, and the last layer's answers distilled",
        cost="one recovery, and one pass over the held-out rows",
        entry="leanformer.methods.patience:run",
        options=_DIAL,
        goes_by_score=True,
    ),
    Method(
        name="learned-exit",
        paper="BERxiT: Early Exiting for BERT with Better Fine-Tuning and Extension to Regression, EACL",
        year=2021,
        granularities=("exit",),
        removes="for each text the layers behind the first exit that does not take itself for wrong",
        trains="exits alone, on the answers of the last layer and on their own mistakes",
        cost="one short training of the exits, and one pass over the held-out rows",
        entry="leanformer.methods.learned_exit:run",
        options=_DIAL,
        goes_by_score=True,
    ),
)
