"""Builders of tiny models, a tiny tokenizer and a tiny task; seeded, so that every test sees the same ones."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertTokenizerFast,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from leanformer.encoders.lean import as_embedder
from leanformer.encoders.sentence import Pooling
from leanformer.tasks.encode import encode

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
GOOD_WORDS = ("good", "great", "fine", "lovely", "bright", "happy", "warm", "clever")
BAD_WORDS = ("bad", "awful", "poor", "ugly", "dull", "sad", "cold", "stupid")
PLAIN_TEXT = (
    "the a film movie actor scene story plot music ending it was is and with very this that of in we saw "
    "camera voice city dog table rain yes no one two three ."
)
PLAIN_WORDS = tuple(PLAIN_TEXT.split())
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
WORD_PIECES = ("##ly", "##er", *LETTERS, *(f"##{letter}" for letter in LETTERS))
VOCABULARY = tuple(dict.fromkeys((*SPECIAL_TOKENS, *PLAIN_WORDS, *GOOD_WORDS, *BAD_WORDS, *WORD_PIECES)))
TINY_FAMILIES = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "mpnet", "modernbert")
MAX_TOKENS = 64
UNIT_MEAN = Pooling("mean", True)


def build_tokenizer() -> PreTrainedTokenizerBase:
    """Return a WordPiece tokenizer of about 110 pieces; every lower-case English word can be spelt."""
    vocabulary = {piece: index for index, piece in enumerate(VOCABULARY)}
    return BertTokenizerFast(vocab=vocabulary, do_lower_case=True, model_max_length=MAX_TOKENS)


def build_config(
    family: str, num_labels: int = 2, layers: int = 2, hidden: int = 32, heads: int = 4, width: int = 64
):
    """Return a tiny configuration of a model family that fits the tiny tokenizer."""
    sizes = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": width,
        "max_position_embeddings": MAX_TOKENS,
    }
    if family == "distilbert":
        sizes = {"dim": hidden, "n_layers": layers, "n_heads": heads, "hidden_dim": width}
        sizes["max_position_embeddings"] = MAX_TOKENS
    if family in ("roberta", "xlm-roberta", "mpnet"):
        sizes["max_position_embeddings"] = MAX_TOKENS + 2  # positions start after the padding index
    if family in ("roberta", "xlm-roberta"):
        sizes["type_vocab_size"] = 2  # so that one tokenizer serves all families
    if family == "electra":
        sizes["embedding_size"] = hidden
    if family == "modernbert":
        sizes["global_attn_every_n_layers"] = 2
    return AutoConfig.for_model(
        family,
        vocab_size=len(VOCABULARY),
        pad_token_id=0,
        bos_token_id=2,
        cls_token_id=2,
        eos_token_id=3,
        sep_token_id=3,
        num_labels=num_labels,
        **sizes,
    )


def build_model(family: str, made: Any = AutoModelForSequenceClassification, **sizes: int) -> PreTrainedModel:
    """Return a seeded random sequence classifier in eval mode; weights so large that every unit matters."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = made.from_config(build_config(family, **sizes))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, 0.15)
                elif "norm" not in name.lower():
                    parameter.normal_(0.0, 0.05)
    return model.eval()


def build_embedder(family: str, pooling: Pooling = UNIT_MEAN, **sizes: int) -> PreTrainedModel:
    """Return a seeded random model of sentence embeddings in eval mode."""
    return as_embedder(build_model(family, AutoModel, **sizes), pooling)


def similar_pairs(rows: int, seed: int) -> list[tuple[str, str, str]]:
    """Return (text, text, score) rows: the score is half a point more than the words, of five, that both share."""
    chooser = random.Random(seed)
    table = []
    for number in range(rows):
        shared = number % 6
        words = chooser.sample(PLAIN_WORDS, 10 - shared)
        first, second = words[:5], [*words[:shared], *words[5:]]
        chooser.shuffle(second)
        table.append((" ".join(first), " ".join(second), f"{shared}.5"))
    return table


def build_rows(rows: int, seed: int) -> list[tuple[str, str]]:
    """Return (text, label) rows whose label follows from the words alone."""
    chooser = random.Random(seed)
    table = []
    for number in range(rows):
        label = number % 2
        mood = chooser.sample(GOOD_WORDS if label else BAD_WORDS, 2)
        words = [*chooser.sample(PLAIN_WORDS, chooser.randint(2, 8)), *mood]
        chooser.shuffle(words)
        table.append((" ".join(words), "positive" if label else "negative"))
    chooser.shuffle(table)
    return table


def build_sentences(rows: int, seed: int) -> list[list[tuple[str, str]]]:
    """Return sentences of (word, tag); good words are spans of praise, bad ones of blame, the longer ones of two."""
    chooser = random.Random(seed)
    table = []
    for number in range(rows):
        parts = [[(word, "O")] for word in chooser.sample(PLAIN_WORDS, chooser.randint(2, 8))]
        for words, kind in ((GOOD_WORDS, "praise"), (BAD_WORDS, "blame"))[number % 2 :]:
            span = chooser.sample(words, 1 + number % 3 // 2)
            parts.append([(word, f"{'I' if place else 'B'}-{kind}") for place, word in enumerate(span)])
        chooser.shuffle(parts)
        table.append([pair for part in parts for pair in part])
    return table


def write_conll(path: Path, sentences: list[list[tuple[str, str]]], between: str = "\t") -> Path:
    """Write sentences, one word and its tag a line, and return the path."""
    lines = ["\n".join(between.join(pair) for pair in sentence) for sentence in sentences]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return path


def build_tagger(family: str, num_labels: int = 5, **sizes: int) -> PreTrainedModel:
    """Return a seeded random token classifier in eval mode; weights so large that every unit matters."""
    return build_model(family, AutoModelForTokenClassification, num_labels=num_labels, **sizes)


def build_squad(articles: int, seed: int, paragraphs: int = 3) -> dict[str, Any]:
    """Return content of SQuAD's layout; each text has a good and a bad word, and two questions ask for them."""
    chooser = random.Random(seed)
    data = []
    for number in range(articles):
        made = []
        for _ in range(paragraphs):
            answers = (chooser.choice(GOOD_WORDS), chooser.choice(BAD_WORDS))
            words = [*chooser.sample(PLAIN_WORDS[:-1], chooser.randint(4, 12)), *answers]
            chooser.shuffle(words)
            context = " ".join(words).capitalize() + "."
            qas = []
            for question, answer in zip(("what was good?", "what was bad?"), answers, strict=True):
                begin = context.lower().index(answer)
                given = [{"text": context[begin : begin + len(answer)], "answer_start": begin}]
                qas.append({"id": f"{number}-{len(qas)}", "question": question, "answers": given})
            made.append({"context": context, "qas": qas})
        data.append({"title": f"article {number}", "paragraphs": made})
    return {"version": "1.1", "data": data}


def write_squad(path: Path, content: dict[str, Any]) -> Path:
    """Write content of SQuAD's layout and return the path."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def build_reader(family: str, **sizes: int) -> PreTrainedModel:
    """Return a seeded random model that answers questions, in eval mode; weights so large that every unit matters."""
    return build_model(family, AutoModelForQuestionAnswering, **sizes)


def write_csv(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Path:
    """Write a csv file with a header and return its path."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def encode_rows(rows: list[tuple[str, str]], tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Return (text, label) rows as the encoded data set that models read; "positive" is class 1."""
    columns = {
        "text": [text for text, _ in rows],
        "label": [int(label == "positive") for _, label in rows],
        "row": list(range(1, len(rows) + 1)),
    }
    return encode(Dataset.from_dict(columns), tokenizer, MAX_TOKENS, truncate=False)


@torch.no_grad()
def tiny_logits(model: PreTrainedModel) -> torch.Tensor:
    """Return a model's logits on two texts of random tokens, always the same ones: (2, num_labels)."""
    tokens = torch.randint(5, 60, (2, 11), generator=torch.Generator().manual_seed(3))
    return model(input_ids=tokens).logits


def padded_texts(lengths, width=None, seed=0):
    """Random texts padded to the longest, or to a width."""
    generator = torch.Generator().manual_seed(seed)
    width = max(lengths) if width is None else width
    ids = torch.ones(len(lengths), width, dtype=torch.long)
    mask = torch.zeros(len(lengths), width, dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(5, 60, (length,), generator=generator)
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask}
