"""What a smaller model is measured in, what pruning counts in, and what is said of its threads."""

import copy
from dataclasses import replace

import pytest

from leanformer.budget import Budget, Target
from leanformer.methods.ladder import pruning
from leanformer.methods.ladder.ascent import Ascent, Built
from leanformer.methods.ladder.board import Board
from leanformer.methods.ladder.rungs import Rung, Step
from leanformer.methods.problem import Serving


def no_pace(*given):
    raise AssertionError("nothing is searched for here")


def ascent_of(problem, *rungs):
    """A climb whose rungs (pruning ratio, ratios by variant) are done; nine times as fast is too much lost."""
    given = problem(
        budget=Budget(speedup=8.0, max_drop_points=1.0), serving=Serving(Target(batch=2), 1, no_pace)
    )
    ascent = Ascent(given, given.serving)
    for pruned, speeds in rungs:
        steps = [
            Step(*variant, 9.0, ratio, ratio, ratio, 0.9, 0.0, 1.0, sound=ratio < 9)
            for variant, ratio in speeds.items()
        ]
        ascent.rungs.append(Rung("rung", "", 1.0, pruned, steps=tuple(steps)))
    return ascent


def test_a_smaller_model_is_measured_in_the_two_best_forms_of_the_three_best_runtimes(problem):
    speeds = {
        ("torch", "fp32", ""): 1.0,
        ("torch", "bf16", ""): 1.5,
        ("onnxruntime", "fp32", ""): 2.0,
        ("onnxruntime", "fp32", "first-token"): 2.2,
        ("onnxruntime", "fp32", "eager-attention"): 1.9,
        ("openvino", "int8", "first-token"): 5.0,
        ("openvino", "int8", ""): 4.8,
        ("openvino", "bf16", ""): 9.0,  # loses too much
    }
    assert ascent_of(problem, (0.0, speeds)).served() == [
        ("openvino", "int8", "first-token"),
        ("openvino", "int8", ""),
        ("onnxruntime", "fp32", "first-token"),
        ("onnxruntime", "fp32", ""),
        ("torch", "bf16", ""),
    ]


@pytest.mark.parametrize(
    ("smaller", "runtime", "asked"),
    [
        ({("openvino", "int8", "first-token"): 6.0, ("onnxruntime", "int8", ""): 8.5}, "onnxruntime", 8.0),
        ({("openvino", "int8", "first-token"): 6.0, ("onnxruntime", "int8", ""): 6.1}, "openvino", 6.4),
    ],
)
def test_pruning_counts_in_what_is_clearly_the_fastest_for_a_smaller_model(problem, smaller, runtime, asked):
    dense = {
        ("openvino", "int8", ""): 4.0,
        ("openvino", "int8", "first-token"): 5.0,
        ("onnxruntime", "int8", ""): 4.5,
    }
    first = pruning.asked_of(ascent_of(problem, (0.0, dense)))
    assert first.target.runtime == "openvino"
    assert first.budget.speedup == pytest.approx(
        6.4 * pruning.MARGIN, abs=0.01
    )  # its best form adds a quarter
    then = pruning.asked_of(ascent_of(problem, (0.0, dense), (0.8, smaller)))
    assert then.target.runtime == runtime
    assert then.budget.speedup == pytest.approx(asked * pruning.MARGIN, abs=0.01)


@pytest.mark.parametrize(
    ("times", "said"),
    [({1: 4.0, 2: 5.6}, "onnxruntime is faster with 1 thread: 4 ms, with 2 5.6 ms"), ({1: 4.0, 2: 4.2}, "")],
)
def test_a_small_model_may_be_faster_with_fewer_threads(problem, monkeypatch, times, said):
    monkeypatch.setattr(Board, "times_by_threads", lambda board, home, variant: times)
    ascent = ascent_of(problem, (0.0, {("onnxruntime", "fp32", ""): 2.0}))
    ascent.serving = replace(ascent.serving, threads=2)
    measured = [Step("onnxruntime", "fp32", "", 3.0, 3.0, 3.0, 3.0, 0.9, 0.0, 1.0)]
    monkeypatch.setattr(Board, "measure", lambda *given: (measured, 0.9, 9.0))
    build = lambda home: Built(copy.deepcopy(ascent.problem.teacher), pruning_ratio=0.5)  # noqa: E731
    assert ascent.model_rung("ae-bert", "", build).note == said
