"""The goal's choice: first rung that meets the budget, fastest within the drop, or the knee of the Pareto set."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanformer.budget import Budget, Target
from leanformer.methods.ladder.rungs import Goal, Rung, Step, knee, pareto, places, record, rung_from


def step(ratio, drop=0.0, runtime="torch", precision="fp32", size_mb=100.0, form=""):
    return Step(runtime, precision, form, 10.0 / ratio, ratio, 0.95 * ratio, 1.05 * ratio, 0.9, drop, size_mb)


def climbed(goal, *rungs):
    """Rungs of (pruning ratio, steps), judged."""
    return [
        Rung(f"rung {number}", "", 1.0, ratio, "", tuple(goal.judged(one, ratio) for one in steps))
        for number, (ratio, steps) in enumerate(rungs)
    ]


def goal(target=None, **limits):
    return Goal(Budget(**limits), target or Target())


def test_the_first_rung_that_meets_the_budget_is_taken_and_on_it_the_fastest():
    wanted = goal(speedup=2.0)
    rungs = climbed(
        wanted,
        (0.0, [step(1.5)]),
        (0.0, [step(2.1), step(2.5), step(4.0, drop=1.5)]),
        (0.5, [step(9.0)]),
    )
    assert wanted.choose(rungs) == ((1, 1), "budget")


@pytest.mark.parametrize(
    ("limits", "met"),
    [
        ({"speedup": 2.0}, [False, True, True]),
        ({"latency_ms": 3.4}, [False, False, True]),
        ({"size_mb": 30.0}, [False, True, False]),
        ({"speedup": 2.0, "size_mb": 30.0}, [False, True, False]),
        ({"pruning_ratio": 0.5}, [False, False, True]),
        ({"pruning_ratio": 0.5, "max_drop_points": 0.3}, [False, False, False]),
    ],
)
def test_every_limit_counts(limits, met):
    wanted = goal(**limits)
    steps = [step(1.5), step(2.5, size_mb=25.0), step(3.0, drop=0.5)]
    assert [wanted.judged(one, ratio).met for one, ratio in zip(steps, (0.0, 0.0, 0.498), strict=True)] == met


def test_a_standard_error_is_added_to_what_is_lost():
    wanted = goal(max_drop_points=1.0)
    likely, lucky = (replace(step(2.0, drop=0.6), drop_error=error) for error in (0.3, 0.5))
    assert wanted.judged(likely, 0.0).sound
    assert not wanted.judged(lucky, 0.0).sound
    assert knee({(0, 0): step(1.0), (0, 1): likely}) == (0, 1)
    assert knee({(0, 0): step(1.0), (0, 1): lucky}) == (0, 0)
    assert rung_from(json.loads(json.dumps(asdict(Rung("rung", "", 1.0, 0.0, "", (lucky,)))))).steps == (
        lucky,
    )


def test_where_nothing_meets_the_budget_the_nearest_sound_step_is_taken():
    wanted = goal(speedup=5.0, max_drop_points=1.0)
    rungs = climbed(wanted, (0.0, [step(2.0), step(3.0, drop=0.9)]), (0.6, [step(6.0, drop=4.0), step(2.5)]))
    assert wanted.choose(rungs) == ((0, 1), "missed")


def test_what_was_asked_goes_before_a_bound_that_nobody_named():
    rungs = [
        (0.0, [step(2.0), step(3.0, drop=0.9)]),
        (0.6, [step(6.0, drop=4.0), step(5.5, drop=3.0), step(2.5)]),
    ]
    wanted = goal(speedup=5.0)
    assert wanted.choose(climbed(wanted, *rungs)) == ((1, 1), "lossy")
    assert goal(speedup=7.0).choose(climbed(goal(speedup=7.0), *rungs)) == ((0, 1), "missed")
    wanted = goal(Target("onnxruntime", None), speedup=5.0)  # what would meet it is in another runtime
    assert wanted.choose(climbed(wanted, *rungs))[1] == "missed"


def test_with_a_drop_alone_the_fastest_sound_step_is_taken():
    wanted = goal(max_drop_points=2.0)
    rungs = climbed(wanted, (0.0, [step(2.0)]), (0.5, [step(4.0, drop=1.9)]), (0.7, [step(6.0, drop=2.1)]))
    assert wanted.choose(rungs) == ((1, 0), "fastest")


def test_without_a_budget_the_knee_is_taken():
    wanted = goal()
    rungs = climbed(wanted, (0.0, [step(1.0), step(2.0), step(4.0, drop=0.2)]), (0.7, [step(5.0, drop=6.0)]))
    assert wanted.choose(rungs) == ((0, 2), "knee")


def test_what_is_not_wanted_is_never_sound():
    wanted = goal(Target("onnxruntime", None), max_drop_points=1.0)
    rungs = climbed(wanted, (0.0, [step(9.0), step(2.0, runtime="onnxruntime", precision="int8")]))
    assert wanted.choose(rungs) == ((0, 1), "fastest")
    assert Goal(Budget(), Target(None, "fp32")).admits("torch", "fp32-eager")
    assert not Goal(Budget(), Target(None, "fp32")).admits("torch", "bf16")


def test_a_budget_of_time_asks_for_the_larger_speed():
    assert goal(speedup=2.0, latency_ms=4.0).needed_ratio(10.0) == 2.5
    assert goal(pruning_ratio=0.5).needed_ratio(10.0) is None


STEPS = st.lists(st.builds(step, st.floats(0.5, 20), st.floats(-3, 30)), min_size=1, max_size=12)


@given(st.lists(STEPS, min_size=1, max_size=4))
def test_nothing_beats_a_step_of_the_pareto_set_and_all_else_is_beaten(groups):
    rungs = climbed(goal(), *((0.0, steps) for steps in groups))
    every, front = dict(places(rungs)), pareto(rungs)
    for place, one in every.items():
        beaten = any(
            every[other].ratio >= one.ratio and every[other].drop_points <= one.drop_points
            for other in front
            if other != place
        )
        strictly = any(
            every[other].ratio >= one.ratio
            and every[other].drop_points <= one.drop_points
            and (every[other].ratio > one.ratio or every[other].drop_points < one.drop_points)
            for other in every
        )
        assert not (place in front and strictly)
        assert place in front or beaten
    assert [every[place].ratio for place in front] == sorted(every[place].ratio for place in front)
    assert knee({place: every[place] for place in front}) in front


def test_two_points_have_no_knee():
    slow, fast, lost = step(1.0), step(3.0, drop=0.5), step(3.0, drop=2.5)
    assert knee({(0, 0): slow, (0, 1): fast}) == (0, 1)
    assert knee({(0, 0): slow, (0, 1): lost}) == (0, 0)


def test_the_record_comes_back_from_json():
    wanted = goal(speedup=2.0)
    rungs = climbed(wanted, (0.0, [step(1.5)]), (0.5, [step(2.5)]))
    facts = json.loads(json.dumps(record(wanted, rungs, "accuracy", 512, 0.9)))
    assert [rung_from(one) for one in facts["rungs"]] == rungs
    assert facts["chosen"] == [1, 0]
    assert facts["why"] == "budget"
    assert facts["asked"] == "2 times faster"
    assert facts["rungs"][0]["steps"][0] == asdict(rungs[0].steps[0])


def test_a_step_that_changes_more_than_asked_is_not_sound():
    wanted = goal(speedup=2.0, max_flips_percent=2.0, max_bias_increase=0.01)
    kind = {"max_flips_percent": 2.0, "max_bias_increase": -0.1}
    kept, flips, biased = (
        replace(step(ratio), harms=kind | more)
        for ratio, more in ((2.5, {}), (4.0, {"max_flips_percent": 2.1}), (5.0, {"max_bias_increase": 0.011}))
    )
    assert [wanted.judged(one, 0.0).sound for one in (kept, flips, biased)] == [True, False, False]
    rungs = climbed(wanted, (0.0, [flips, biased, kept]))
    assert wanted.choose(rungs) == ((0, 2), "budget")
    rungs = climbed(wanted, (0.0, [replace(kept, ratio=1.5)]), (0.5, [flips, biased]))
    assert wanted.choose(rungs) == ((0, 0), "missed")
    facts = json.loads(json.dumps(record(wanted, rungs, "accuracy", 100, 0.9)))
    assert facts["limits"] == {"max_flips_percent": 2.0, "max_bias_increase": 0.01}
    assert rung_from(facts["rungs"][1]) == rungs[1]


def test_the_knee_is_one_of_the_steps_that_change_no_more_than_asked():
    def front(**limits):
        harms = [dict.fromkeys(limits, ratio) for ratio in (1.0, 1.9, 3.0, 9.0)]
        steps = [
            replace(step(ratio, drop=drop), harms=one)
            for ratio, drop, one in zip((1.0, 1.9, 3.0, 9.0), (0.0, 0.1, 0.2, 5.0), harms, strict=True)
        ]
        return climbed(goal(**limits), (0.0, steps))

    assert goal().choose(front()) == ((0, 2), "knee")
    two, none = {"max_flips_percent": 2.0}, {"max_flips_percent": 0.5}
    assert goal(**two).choose(front(**two)) == ((0, 1), "knee")
    assert goal(**none).choose(front(**none)) == ((0, 2), "knee")  # nothing keeps it: the report says so
