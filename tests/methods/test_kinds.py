import pytest

from leanformer.errors import BudgetError
from leanformer.methods.kinds import FOR_EMBEDDINGS, ONE_ANSWER_A_TEXT, READ_LABELS, check_kind
from leanformer.methods.registry import METHODS


def test_methods_are_refused_for_the_kinds_that_they_are_not_for():
    assert set(READ_LABELS) < set(METHODS)
    for method in METHODS:
        for kind in ("classification", "regression"):
            if method in FOR_EMBEDDINGS:
                with pytest.raises(BudgetError, match=f"{method} is for models of sentence embeddings"):
                    check_kind(method, kind)
            else:
                check_kind(method, kind)
        if method in READ_LABELS:
            with pytest.raises(BudgetError, match=f"{method} goes by labels.*one-shot"):
                check_kind(method, "embedding")
        else:
            check_kind(method, "embedding")


@pytest.mark.parametrize("kind", ["token-classification", "question-answering"])
def test_tasks_that_ask_every_token_have_no_one_answer_a_text(kind):
    assert set(ONE_ANSWER_A_TEXT) < set(METHODS)
    for method in METHODS:
        if method in ONE_ANSWER_A_TEXT:
            with pytest.raises(
                BudgetError, match=f"{method} needs one answer for a whole text, and {kind} asks"
            ):
                check_kind(method, kind)
        elif method not in FOR_EMBEDDINGS:
            check_kind(method, kind)
