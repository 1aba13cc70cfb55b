"""Tiny encoders with a head for masked words, and a tokenizer whose vocabulary has gender words."""

import torch
from transformers import AutoModelForMaskedLM, BertTokenizerFast

from leanformer.audit.models import Asked
from tiny import MAX_TOKENS, VOCABULARY, build_config

WORDS = (
    "he",
    "she",
    "him",
    "her",
    "his",
    "man",
    "woman",
    "nurse",
    "engineer",
    "guard",
    "mary",
    "john",
    "works",
)


def gendered_tokenizer():
    pieces = dict.fromkeys((*VOCABULARY, *WORDS, "'", ","))
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return BertTokenizerFast(vocab=vocabulary, do_lower_case=True, model_max_length=MAX_TOKENS)


def masked_model(family, **sizes):
    tokenizer = gendered_tokenizer()
    config = build_config(family, **sizes)
    config.vocab_size = len(tokenizer)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForMaskedLM.from_config(config).eval()
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, 0.0, 0.15)
    return Asked(f"tiny-{family}", model, tokenizer, True)
