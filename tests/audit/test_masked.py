"""What is expected at a place is read from the model's own head, place by place."""

import numpy as np
import pytest
import torch
from tiny_masked import masked_model

from leanformer.audit.masked import Question, answer, best_fills, inner, token_ids


def plainly(asked, question):
    with torch.no_grad():
        logits = asked.model(torch.tensor([question.ids])).logits[0]
    logs = torch.log_softmax(logits, dim=-1)
    return [
        float(logs[place, token]) for place, token in zip(question.positions, question.wanted, strict=True)
    ]


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "mpnet", "modernbert"])
def test_answers_are_those_of_the_whole_model_one_by_one(family):
    asked = masked_model(family)
    texts = ["he works", "the nurse was in the city with a dog", "she"]
    questions = [
        Question(tuple(ids), tuple(inner(asked, ids)), tuple(ids[place] for place in inner(asked, ids)))
        for ids in (token_ids(asked, text) for text in texts)
    ]
    for found, question in zip(answer(asked, questions), questions, strict=True):
        assert found == pytest.approx(plainly(asked, question), abs=1e-4)


def test_the_best_fills_are_the_likeliest_tokens_without_special_ones(masked):
    ids = tuple(token_ids(masked, f"he {masked.tokenizer.mask_token} works"))
    fills = best_fills(masked, [Question(ids, (2,), (ids[2],))], 3)[0]
    with torch.no_grad():
        logits = masked.model(torch.tensor([ids])).logits[0, 2].numpy()
    logits[masked.tokenizer.all_special_ids] = -np.inf
    assert fills == np.argsort(-logits)[:3].tolist()


def test_special_tokens_are_not_asked_for(masked):
    ids = token_ids(masked, "he works")
    assert inner(masked, ids) == [1, 2]
