"""Long texts in strides: nothing is lost between them, and places map back to the exact characters."""

import itertools
import random

import numpy as np
import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from leanformer.errors import DataError, ModelError
from leanformer.tasks.encode import batches, encode
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.strides import NOWHERE, answer_places, place_labels
from leanformer.tasks.words import IGNORED
from tiny import GOOD_WORDS, MAX_TOKENS, PLAIN_WORDS

PARTS = (*PLAIN_WORDS, *GOOD_WORDS, "Zürich", "naïve", "1,066", "state-of-the-art", "“quoted”", "e.g.", "çà")


def text_of(words, seed):
    chooser = random.Random(seed)
    return " ".join(chooser.choice(PARTS) + chooser.choice(("", "", ",", ".", "  ")) for _ in range(words))


def rows_of(*triples):
    """(question, text, answer's first character and the one behind its last)."""
    columns = {
        "text": [question for question, _, _ in triples],
        "text_pair": [text for _, text, _ in triples],
        "answers": [[text[slice(*place)]] for _, text, place in triples],
        "begins": [[place[0]] for _, _, place in triples],
        "row": list(range(1, len(triples) + 1)),
    }
    return Dataset.from_dict(columns, split="train")


def byte_tokenizer():
    """Bytes as tokens, the blank before a word a part of its first one, as RoBERTa's has them with such offsets."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ("<s>", "<pad>", "</s>", *letters, "Ġf", "Ġfi")
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "f"), ("Ġf", "i")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", model_max_length=MAX_TOKENS)


def offsets_of(row):
    return np.asarray(row["offsets"]).reshape(-1, 2)


def stretch(row):
    offsets, (start, end) = offsets_of(row), row["label"]
    return row["text_pair"][offsets[start, 0] : offsets[end, 1]]


def text_tokens(tokenizer, text):
    """Where the tokens of a text lie, alone."""
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return encoding["offset_mapping"]


@pytest.mark.parametrize("longest", [16, 25, 64])
def test_strides_cover_every_token_and_share_half_of_what_they_hold(longest, tiny_tokenizer):
    text = text_of(60, seed=longest)
    rows = encode(rows_of(("the film .", text, (0, 3))), tiny_tokenizer, longest, truncate=False)
    held = [[tuple(pair) for pair in offsets_of(row).tolist() if pair[1] > pair[0]] for row in rows]
    every = text_tokens(tiny_tokenizer, text)
    assert sorted(set().union(*held)) == every
    room = longest - 3 - 3  # [CLS], two [SEP]; the film .
    assert all(len(tokens) == room for tokens in held[:-1])
    for before, after in itertools.pairwise(held):
        assert before[-(room // 2) :] == after[: room // 2]  # fewer than 128
    assert all(len(row["input_ids"]) <= longest for row in rows)
    assert rows["row"] == [1] * len(rows)


def test_an_overlap_is_128_tokens_where_there_is_room(tiny_tokenizer):
    text = " ".join(["film"] * 900)
    rows = encode(rows_of(("the film", text, (0, 4))), tiny_tokenizer, 384, truncate=False)
    first, second = (np.flatnonzero(np.diff(offsets_of(row), axis=1)[:, 0]) for row in rows.select(range(2)))
    shared = offsets_of(rows[0])[first[-1], 1] - offsets_of(rows[1])[second[0], 0]
    assert shared == 128 * 5 - 1  # film and a blank, but for the last


@pytest.mark.parametrize("make", [None, byte_tokenizer])
def test_every_answer_up_to_the_overlap_is_found_whole_in_a_stride(make, tiny_tokenizer):
    tokenizer = make() if make else tiny_tokenizer
    text, longest = text_of(24, seed=5), 26
    tokens = text_tokens(tokenizer, text)
    question = "the film"
    overlap = (
        longest
        - tokenizer.num_special_tokens_to_add(pair=True)
        - len(tokenizer(question, add_special_tokens=False)["input_ids"])
    ) // 2
    places = [
        (text.index(text[begin:end].strip(), begin), tokens[last][1])
        for first, (begin, end) in enumerate(tokens)
        for last in range(first, min(first + overlap, len(tokens)))
        if all(text[slice(*tokens[edge])].strip() for edge in (first, last))  # a blank may be a token
    ]
    rows = encode(rows_of(*((question, text, place) for place in places)), tokenizer, longest, truncate=False)
    found = dict.fromkeys(range(1, len(places) + 1), 0)
    for row in rows:
        if row["label"] != [NOWHERE, NOWHERE]:
            assert stretch(row) == row["answers"][0]
            found[row["row"]] += 1
    assert min(found.values()) >= 1
    assert max(found.values()) == 2  # on an edge both strides have it


def test_an_answer_longer_than_a_stride_is_nowhere(tiny_tokenizer):
    text = " ".join(["film"] * 60)
    rows = encode(rows_of(("the film", text, (0, len(text)))), tiny_tokenizer, 20, truncate=False)
    assert rows["label"][:] == [[NOWHERE, NOWHERE]] * len(rows)


def test_an_answer_within_a_word_is_the_whole_token(tiny_tokenizer):
    rows = encode(rows_of(("the film", "the filmly dog", (5, 8))), tiny_tokenizer, 20, truncate=False)
    assert stretch(rows[0]) == "film"  # film ##ly: "ilm" lies in the first


def test_blanks_around_an_answer_do_not_count(tiny_tokenizer):
    rows = encode(rows_of(("the film", "the film  was good", (3, 10))), tiny_tokenizer, 20, truncate=False)
    assert rows[0]["answers"] == [" film  "]
    assert stretch(rows[0]) == "film"


def test_places_by_hand():
    offsets = np.array([[0, 0], [0, 0], [0, 3], [3, 5], [6, 9], [9, 9], [10, 14], [0, 0]])
    assert answer_places(offsets, 0, 3) == [2, 2]
    assert answer_places(offsets, 4, 12) == [3, 6]
    assert answer_places(offsets, 6, 9) == [4, 4]
    assert answer_places(offsets, 10, 15) == [NOWHERE, NOWHERE]  # goes on behind the stride
    assert answer_places(offsets, 10, 15, high=20) == [6, 6]  # or the text has no token there
    assert answer_places(offsets + 5 * (offsets > 0), 3, 10, low=0) == [2, 3]
    assert answer_places(np.zeros((4, 2), dtype=int), 0, 1) == [NOWHERE, NOWHERE]


def test_long_questions_are_refused_or_cut(tiny_tokenizer):
    rows = rows_of(("the film was good", "the film was good", (13, 17)), ("good " * 20, "the film", (4, 8)))
    with pytest.raises(DataError, match=r"question in train row 2 has 20 tokens, and 8, half .*\(1 of 2"):
        encode(rows, tiny_tokenizer, 20, truncate=False)
    cut = encode(rows, tiny_tokenizer, 20, truncate=True)
    assert [stretch(row) for row in cut] == ["good", "film"]
    assert tiny_tokenizer.decode(cut[1]["input_ids"]) == f"[CLS] {'good ' * 8}[SEP] the film [SEP]"


def test_tokenizers_without_places_are_refused(tiny_tokenizer, monkeypatch):
    rows = rows_of(("the film", "the film", (4, 8)))
    monkeypatch.setattr(tiny_tokenizer, "padding_side", "left")
    with pytest.raises(ModelError, match="pads on the left"):
        encode(rows, tiny_tokenizer, 20, truncate=False)


def test_batches_say_where_answers_start_and_end(tiny_tokenizer):
    rows = encode(
        rows_of(("the film", "the film", (4, 8)), ("the film", "good film was the dog here", (0, 9))),
        tiny_tokenizer,
        20,
        truncate=False,
    )
    ((order, batch),) = batches(rows, tiny_tokenizer)
    assert order.tolist() == [1, 0]
    long, short = batch["labels"]  # [CLS] the film [SEP] good film ...
    assert batch["labels"].dtype == torch.int64
    assert (long == 1).nonzero().tolist() == [[4, 0], [5, 1]]
    assert (short == 1).nonzero().tolist() == [[5, 0], [5, 1]]
    real = batch["attention_mask"].bool()
    assert (batch["labels"][~real] == IGNORED).all()
    assert (batch["labels"][real] >= 0).all()


def test_labels_are_spelt_out_for_each_token():
    found = place_labels([[1, 2], [0, 0]], [4, 2], 4)
    assert found[..., 0].tolist() == [[0, 1, 0, 0], [1, 0, IGNORED, IGNORED]]
    assert found[..., 1].tolist() == [[0, 0, 1, 0], [1, 0, IGNORED, IGNORED]]


def test_the_squad_of_the_tests_is_answered_exactly(squad, tiny_tokenizer):
    rows = encode(load_data(DataSpec(str(squad))).train, tiny_tokenizer, MAX_TOKENS, truncate=False)
    assert [stretch(row) for row in rows] == [row["answers"][0] for row in rows]
