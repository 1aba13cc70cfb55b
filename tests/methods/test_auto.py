"""auto climbs until the budget is met, keeps what it measured, and returns what it chose."""

from __future__ import annotations

import json

import pytest
import torch
from fake_clock import COSTS, FakeClock, pace

from leanformer.budget import Budget, Target
from leanformer.encoders.forms import forms_for
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods import auto
from leanformer.methods.ladder import board, half_way, pruning
from leanformer.methods.ladder.ascent import Ascent
from leanformer.methods.ladder.board import Board
from leanformer.methods.ladder.rungs import Step
from leanformer.methods.problem import Serving
from leanformer.methods.registry import METHODS
from leanformer.structure.cost import macs_share, pruning_ratio
from leanformer.structure.exits import exits_of
from leanformer.structure.masks import TOKEN

LEAVING = [half_way.SHORTER, half_way.EARLIER]


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(board, "QUICK_LIMIT_S", 0.1)


def serving(target=None):
    """A tiny model served by PyTorch; what pruning costs is made up."""

    def made(budget, target, noted, shorter):
        return pace(FakeClock(1.0), shorter, speedup=budget.speedup)

    return Serving(target or Target("torch", "fp32", 2), 1, made)


def climbed(problem, budget, target=None, **fields):
    given = problem(budget=budget, quick=True, serving=serving(target), **fields)
    return given, METHODS["auto"].run(given)


def told(ladder):
    return [rung["name"] for rung in ladder["rungs"]]


@pytest.fixture
def believed(monkeypatch):
    """believed(1.5, 3.0): scores and clocks say this of each rung: the speed-up, and the points lost."""

    def set_up(*facts):
        queue = list(facts)

        def measure(self, home, variants, ratio):
            speed, drop = queue.pop(0)
            steps = [
                Step(*variant, 9.0 / speed, speed, speed, speed, 0.9 - drop / 100, drop, 1.0)
                for variant in variants
            ]
            return [self.goal.judged(step, ratio) for step in steps], 0.9, 9.0

        monkeypatch.setattr(Board, "measure", measure)
        return queue

    return set_up


def test_a_budget_that_the_dense_model_meets_removes_nothing(problem, believed):
    believed((2.5, 0.0))
    given, found = climbed(problem, Budget(speedup=2.0))
    assert told(found.ladder) == ["exact"]
    assert found.ladder["why"] == "budget"
    assert found.masks == {}
    assert found.serve[:2] == ("torch", "fp32")
    for name, weight in given.teacher.state_dict().items():
        assert torch.equal(weight, found.model.state_dict()[name])


def test_pruning_is_repaired_before_it_is_trained(problem, believed):
    believed((1.1, 0.0), (2.2, 0.4))
    given, found = climbed(problem, Budget(speedup=2.0))
    assert told(found.ladder) == ["exact", "repair"]
    assert found.ladder["rungs"][1]["steps"][0]["met"]
    assert found.ladder["rungs"][1]["pruning_ratio"] == pytest.approx(
        pruning_ratio(EncoderView(given.teacher), found.masks)
    )
    assert found.training == {}
    assert found.search["candidates"]


def test_the_ladder_is_climbed_to_its_end_where_nothing_does(problem, believed):
    believed((1.1, 0.0), (2.2, 9.0), (2.2, 5.0), (2.2, 4.0), (2.2, 7.0), (1.6, 3.0), (1.6, 2.0))
    _, found = climbed(problem, Budget(speedup=2.0, max_drop_points=1.0))
    pruned = ["repair", "ae-bert", "trained longer", "layers", "ae-bert", "trained longer"]
    assert told(found.ladder) == ["exact", *pruned, *LEAVING]
    assert all("nothing to go on from" in rung["note"] for rung in found.ladder["rungs"][-2:])
    assert found.ladder["why"] == "missed"
    assert found.ladder["chosen"][0] == 0  # the nearest that loses nothing
    assert found.masks == {}


def test_tokens_leave_a_model_that_is_pruned_half_of_the_way(problem, believed):
    believed((1.1, 0.0), (1.3, 9.0), (1.3, 5.0), (1.3, 7.0), (1.2, 0.3), (1.4, 0.5))
    given, found = climbed(problem, Budget(speedup=1.4))
    assert told(found.ladder)[-2:] == ["ae-bert", "fewer tokens"]
    assert found.ladder["why"] == "budget"
    half, last = found.ladder["rungs"][-2:]
    dense, small = EncoderView(given.teacher), EncoderView(found.model)
    assert last["pruning_ratio"] == half["pruning_ratio"] == pytest.approx(pruning_ratio(dense, found.masks))
    assert small.kept_tokens(small.n_layers - 1) < 1
    assert small.encoder_parameters() < dense.encoder_parameters()
    assert {kind for _, kind in found.masks} > {TOKEN}
    assert macs_share(dense, found.masks, 8.0) < 1 - last["pruning_ratio"]


def test_texts_leave_early_where_that_is_the_last_way(problem, believed):
    believed((1.1, 0.0), (1.3, 9.0), (1.3, 5.0), (1.3, 7.0), (1.2, 0.3), (1.4, 5.0), (1.4, 0.5))
    given, found = climbed(problem, Budget(speedup=1.4))
    assert told(found.ladder)[-3:] == ["ae-bert", "fewer tokens", "early exits"]
    assert found.ladder["why"] == "budget"
    assert exits_of(found.model)
    assert found.exits["rows"] == len(given.held_out)
    assert found.removed_share == found.ladder["rungs"][-1]["pruning_ratio"] > 0
    assert found.macs_share <= macs_share(EncoderView(given.teacher), found.masks, given.mean_tokens)


def test_a_model_that_texts_leave_is_measured_in_a_form_that_it_has(problem, believed, monkeypatch):
    believed((1.1, 0.0), (1.3, 9.0), (1.3, 5.0), (1.3, 7.0), (1.2, 0.3), (1.4, 5.0), (1.4, 0.5))
    monkeypatch.setattr(Ascent, "served", lambda self: [("torch", "fp32", "first-token")])
    _, found = climbed(problem, Budget(speedup=1.4))
    tokens, exits = found.ladder["rungs"][-2:]
    assert [step["form"] for step in tokens["steps"]] == ["first-token"]
    assert [step["form"] for step in exits["steps"]] == [""]
    assert found.serve[2] in forms_for(found.model.config)


def test_what_no_search_reaches_is_searched_for_once(problem, believed, monkeypatch):
    believed((1.1, 0.0))
    asked = []

    def out_of_reach(case):
        asked.append(case.budget.speedup)
        raise BudgetError("no candidate is so fast")

    monkeypatch.setattr(pruning, "winner_of", out_of_reach)
    _, found = climbed(problem, Budget(speedup=2.0))
    assert told(found.ladder) == ["exact", "repair", "ae-bert", "layers", "ae-bert", *LEAVING]
    notes = {rung["name"]: rung["note"] for rung in found.ladder["rungs"][1:5]}
    assert "one of the 2 layers alone" in notes.pop("layers")
    assert set(notes.values()) == {"no candidate is so fast"}
    assert len(asked) == 2  # the whole way, and half of it
    assert found.masks == {}


def test_tokens_make_no_file_smaller(problem, believed):
    believed((1.0, 0.0), (1.0, 9.0), (1.0, 9.0), (1.0, 9.0), (1.0, 9.0))
    _, found = climbed(problem, Budget(pruning_ratio=0.5, max_drop_points=1.0))
    assert told(found.ladder) == ["exact", "repair", "ae-bert", "trained longer", "layers"]


def test_a_speed_that_was_asked_for_goes_before_a_bound_that_was_not(problem, believed):
    believed((1.1, 0.0), (2.2, 9.0), (2.2, 5.0), (2.2, 6.0), (2.2, 7.0), (1.6, 9.0), (1.6, 9.0))
    _, found = climbed(problem, Budget(speedup=2.0))
    assert (found.ladder["why"], found.ladder["chosen"][0]) == ("lossy", 2)  # the least that is lost
    assert found.masks


def test_a_pruned_model_that_loses_too_much_is_trained_on(problem, believed):
    believed((1.1, 0.0), (2.2, 9.0), (2.2, 1.4), (2.2, 0.6))
    _, found = climbed(problem, Budget(speedup=2.0, max_drop_points=1.0))
    assert told(found.ladder) == ["exact", "repair", "ae-bert", "trained longer"]
    assert found.ladder["why"] == "budget"
    before, after = found.ladder["rungs"][2:]
    assert after["pruning_ratio"] == before["pruning_ratio"] > 0
    assert after["words"].endswith("2 times faster and at most 1 point lost")


def test_more_training_is_no_way_to_speed(problem, believed):
    for lost in (0.0, 5.0):
        believed((1.1, 0.0), (1.5, lost), (1.6, lost), (1.7, lost), (1.3, 5.0), (1.3, 5.0), (1.3, 5.0))
        _, found = climbed(problem, Budget(speedup=2.0))
        assert told(found.ladder)[:5] == ["exact", "repair", "ae-bert", "layers", "ae-bert"]


def test_training_reads_no_row_that_judges(problem, believed, monkeypatch):
    believed((1.1, 0.0), (2.2, 9.0), (2.2, 0.0))
    seen = []
    from leanformer.methods import steps

    recipe = steps.fine_tune
    monkeypatch.setattr(
        steps, "fine_tune", lambda *rows, **more: (seen.append(len(rows[3])), recipe(*rows, **more))[1]
    )
    given, found = climbed(problem, Budget(speedup=2.0))
    assert seen == [len(given.train)]
    assert told(found.ladder)[-1] == "ae-bert"
    assert found.training["epochs"] > 0


def test_without_limits_pruning_goes_on_until_too_much_is_lost(problem, believed):
    believed((1.5, 0.0), (2.2, 0.2), (3.0, 0.5), (4.5, 4.0))
    _, found = climbed(problem, Budget(max_drop_points=1.0))
    assert told(found.ladder) == ["exact", "repair", "ae-bert", "ae-bert"]
    assert found.ladder["why"] == "fastest"
    assert found.ladder["chosen"][0] == 2


def test_a_size_counts_what_is_stored(problem, believed):
    believed((1.0, 0.0), (1.0, 0.0))
    _, found = climbed(problem, Budget(size_mb=2.0))
    assert told(found.ladder) == ["exact"]
    assert found.ladder["why"] == "budget"


def test_a_resumed_climb_measures_and_trains_nothing_again(problem, believed, monkeypatch):
    believed((1.1, 0.0), (2.2, 9.0), (2.2, 0.0))
    given, found = climbed(problem, Budget(speedup=2.0))
    monkeypatch.setattr(Board, "measure", lambda *given: pytest.fail("measured again"))
    monkeypatch.setattr(auto, "distilled", lambda *given: pytest.fail("trained again"), raising=True)
    state = json.loads((given.folder / "ladder.json").read_text(encoding="utf-8"))
    assert len(state["rungs"]) == 3
    ascent = Ascent(given, given.serving)
    for _ in range(3):
        ascent.skipped("", "", "", 0.0)
    again = ascent.answer()
    assert again.ladder == found.ladder
    assert again.masks.keys() == found.masks.keys()
    batch = {"input_ids": torch.tensor([[2, 9, 3]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    with torch.no_grad():
        assert torch.equal(again.model(**batch).logits, found.model(**batch).logits)


def test_a_killed_climb_goes_on_where_it_was(problem, believed, monkeypatch):
    left = believed((1.1, 0.0))
    given = problem(budget=Budget(speedup=2.0), quick=True, serving=serving())
    with pytest.raises(
        IndexError
    ):  # nothing more is believed: the climb dies while it measures the repaired model
        METHODS["auto"].run(given)
    built = given.folder / "rung-1" / "facts.json"
    assert built.is_file()
    before = built.stat().st_mtime_ns
    left.append((2.2, 0.0))
    found = METHODS["auto"].run(given)
    assert told(found.ladder) == ["exact", "repair"]
    assert built.stat().st_mtime_ns == before


def test_real_clocks_and_scores(problem):
    _, found = climbed(problem, Budget(max_drop_points=60.0), Target("torch", None, 2))
    first = found.ladder["rungs"][0]
    variants = {(step["precision"], step["form"]) for step in first["steps"]}
    assert variants == {("fp32", ""), ("fp32-eager", ""), ("fp32", "first-token")}
    assert all(step["drop_points"] == 0.0 and step["latency_ms"] > 0 for step in first["steps"])
    assert "threads" not in first["note"]  # there is one
    assert "ae-bert" in told(found.ladder)
    assert found.ladder["why"] == "fastest"


@pytest.mark.thorough
@pytest.mark.parametrize("runtime", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.slow)])
def test_int8_is_a_rung(problem, runtime):
    _, found = climbed(problem, Budget(speedup=1.000001, max_drop_points=100.0), Target(runtime, "int8", 2))
    assert told(found.ladder) == ["exact", "fewer bits"]  # both runtimes beat PyTorch on a model so small
    (bits,) = [rung for rung in found.ladder["rungs"] if rung["name"] == "fewer bits"]
    assert {step["precision"] for step in bits["steps"]} <= {"int8"}
    assert not any(step["sound"] for step in found.ladder["rungs"][0]["steps"])  # PyTorch is not wanted


def test_several_processes_can_not_measure(problem, monkeypatch):
    monkeypatch.setattr(auto.processes, "count", lambda: 2)
    with pytest.raises(BudgetError, match="--method"):
        METHODS["auto"].run(problem(serving=serving()))


def test_pruning_asks_for_a_share_of_what_the_dense_model_takes_on_the_target(problem, believed):
    believed((3.0, 0.0))
    given = problem(budget=Budget(max_drop_points=1.0), quick=True, serving=serving())
    ascent = Ascent(given, given.serving)
    auto.exact(ascent)
    view = EncoderView(given.teacher)
    dense_ms = COSTS.predict_ms([(view.heads(layer), view.width(layer)) for layer in range(view.n_layers)])
    asked = pruning.faster(ascent, 1.5)
    assert asked.budget.speedup == 4.5  # over PyTorch
    assert pruning.pace_for(ascent, asked).price.deadline_ms == pytest.approx(dense_ms / 1.5)
