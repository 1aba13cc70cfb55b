"""The dial of a chain, set on texts without labels: what is foretold is what the chain then does."""

import numpy as np
import pytest

from leanformer.encoders.saving import save_model
from leanformer.errors import BudgetError
from leanformer.export.exporters import export_onnx
from leanformer.export.runtimes import arrays
from leanformer.runtime.cascade import Cascade
from leanformer.runtime.tuning import tune
from leanformer.structure.exits import set_policy, with_exits
from leanformer.tasks.encode import batches


@pytest.fixture
def chain(tiny_model, tiny_tokenizer, mood_held_out, tmp_path):
    """The factory chain(policy): a chain of four parts that nobody leaves yet, and its texts in batches of five."""

    def make(policy):
        model = with_exits(
            tiny_model("bert", layers=4).eval(), [0, 1, 2], size=16, judges=policy == "learned"
        )
        exits = model.bert.encoder.exits
        exits["1"].load_state_dict(exits["0"].state_dict())  # untrained exits seldom agree; these two may
        set_policy(model, policy, 3 if policy == "patience" else 0.0)
        save_model(model, tiny_tokenizer, tmp_path / "model")
        texts = mood_held_out.select(range(24)).remove_columns("label")
        first = export_onnx(tmp_path / "model", tmp_path, texts).path
        plan = [arrays(batch) for _, batch in batches(texts, tiny_tokenizer, 5)]
        return Cascade(first, threads=1), plan

    return make


@pytest.mark.parametrize("policy", ["entropy", "patience", "learned"])
def test_the_chain_does_what_the_dial_foretold(chain, policy):
    cascade, plan = chain(policy)
    before = cascade.threshold
    whole = np.concatenate([cascade(batch) for batch in plan])
    asked = 0.05
    rows = tune(cascade, plan, saved=asked)
    assert cascade.threshold != before
    answers, layers = [], []
    for batch in plan:
        answers.append(cascade(batch))
        layers.append(cascade.layers)
    saved = 1 - np.concatenate(layers).mean() / 4
    agreement = (np.concatenate(answers).argmax(-1) == whole.argmax(-1)).mean()
    assert saved >= asked
    row = next(row for row in rows if row["saved"] == pytest.approx(saved))
    assert row["threshold"] == cascade.threshold
    assert row["agreement"] == pytest.approx(agreement)


def test_the_dial_is_kept(chain):
    cascade, plan = chain("entropy")
    tune(cascade, plan, saved=0.2)
    assert Cascade(cascade.path, threads=1).threshold == 0.0
    cascade.keep_dial()
    assert Cascade(cascade.path, threads=1).threshold == cascade.threshold > 0.0


def test_agreement_is_promised_only_where_the_texts_show_it(chain):
    cascade, plan = chain("entropy")
    tune(cascade, plan, agreement=0.05)
    bold = cascade.threshold
    assert bold > 0.0
    with pytest.raises(BudgetError, match="24 texts do not show"):
        tune(cascade, plan, agreement=0.999)
    with pytest.raises(BudgetError, match="no setting saves"):
        tune(cascade, plan, saved=0.95)
    with pytest.raises(BudgetError, match="give tune either"):
        tune(cascade, plan)
    with pytest.raises(BudgetError, match="no texts"):
        tune(cascade, [], saved=0.5)
    assert cascade.threshold == bold
