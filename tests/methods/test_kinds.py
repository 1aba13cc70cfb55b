import pytest

from leanformer.errors import BudgetError
from leanformer.methods.kinds import READ_LABELS, check_kind
from leanformer.methods.registry import METHODS


def test_methods_that_read_labels_are_refused_for_embeddings_alone():
    assert set(READ_LABELS) < set(METHODS)
    for method in METHODS:
        check_kind(method, "classification")
        check_kind(method, "regression")
        if method in READ_LABELS:
            with pytest.raises(BudgetError, match=f"{method} goes by labels.*one-shot"):
                check_kind(method, "embedding")
        else:
            check_kind(method, "embedding")
