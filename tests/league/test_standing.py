"""The record: means over seeds, speeds of the same precision, and who is beaten by something simpler."""

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leanformer.budget import Budget
from leanformer.cli.main import app
from leanformer.job import Job
from leanformer.league.cells import Played
from leanformer.league.grid import league_of
from leanformer.league.standing import command, standing
from leanformer.tasks.load import DataSpec

OUT = Path("league")
JOB = Job("bert", DataSpec("reviews"), Budget(pruning_ratio=0.5), threads=2)


def record(drop, minutes, steps=10, test=None):
    """What a cell's result.json holds of these figures."""
    model = {"encoder_parameters": 100, "parameters": 200}
    return {
        "task": {"name": "reviews"},
        "metric": "accuracy",
        "n": 60,
        "dense": {**model, "score": 0.9, "low": 0.85, "high": 0.95},
        "compressed": {**model, "score": 0.9 - drop / 100, "low": 0.8 - drop / 100, "high": 0.95},
        "drop_points": drop,
        "drop_interval": [drop - 1, drop + 1],
        "test": test,
        "pruning_ratio_reached": 0.5,
        "macs_share": 0.5,
        "training": {"steps": steps} if steps else {},
        "stages": [{"name": "search and recovery", "seconds": 60.0 * minutes}],
    }


def timed(model, ms, precision="fp32", runtime="torch", score=0.9, batch=1):
    return {
        **{"model": model, "runtime": runtime, "precision": precision, "form": "", "batch": batch},
        **{"latency_ms": ms, "score": score, "rounds_ms": [ms] * 6},
    }


def stand(figures, timing, seeds=(0,)):
    """figures: by method, one record or refusal a seed."""
    league = league_of(JOB, tuple(figures), seeds)
    played = []
    for cell in league.cells(OUT / "dense" / "teacher"):
        found = figures[cell.method.name][seeds.index(cell.seed)]
        refused = isinstance(found, str)
        folder = OUT / "cells" / cell.name
        played.append(Played(cell, folder, None if refused else found, found if refused else ""))
    return standing(league, {"seconds": 120.0}, played, timing, OUT)


def by_name(league):
    return {row["method"]: row for row in league["rows"]}


def test_a_method_worse_in_both_than_a_simpler_one_is_named():
    figures = {
        "ae-bert": [record(2.0, 10)],  # loses more, slower, took longer
        "uniform-magnitude": [record(1.0, 8)],
        "drop-layers": [record(3.0, 12)],  # loses more, but is faster
        "one-shot": [record(0.5, 1, steps=0)],  # loses less, slower
        "l0-heads": [record(4.0, 0.5)],  # worse than the cheaper of two, but cheaper than all
    }
    ms = {"dense": 10, "ae-bert": 6, "uniform-magnitude": 5, "drop-layers": 4, "one-shot": 5.5, "l0-heads": 9}
    league = stand(figures, {1: [timed(name, value) for name, value in ms.items()]})
    beaten = {name: row["beaten_by"] for name, row in by_name(league).items()}
    assert beaten == {
        "ae-bert": "uniform-magnitude",
        "uniform-magnitude": None,
        "drop-layers": None,
        "one-shot": None,
        "l0-heads": "uniform-magnitude",  # what every method has to beat, whatever it took
    }
    front = [name for name, row in by_name(league).items() if row["front"] == [1]]
    assert front == ["one-shot", "uniform-magnitude", "drop-layers"]
    assert league["dense"]["front"] == [1]
    assert (league["dense"]["minutes"], by_name(league)["ae-bert"]["minutes"]) == (2.0, 10.0)


def test_whatever_took_less_time_is_simpler_too():
    figures = {"ae-bert": [record(2.0, 10)], "one-shot": [record(1.0, 1)], "taylor-heads": [record(0.5, 20)]}
    rows = [timed("dense", 10), timed("ae-bert", 8), timed("one-shot", 5), timed("taylor-heads", 4)]
    beaten = {name: row["beaten_by"] for name, row in by_name(stand(figures, {1: rows})).items()}
    assert beaten == {"ae-bert": "one-shot", "one-shot": None, "taylor-heads": None}


def test_a_row_that_is_faster_at_one_batch_size_is_not_beaten():
    figures = {"ae-bert": [record(2.0, 10)], "uniform-magnitude": [record(1.0, 1)]}
    one = [timed("dense", 10), timed("ae-bert", 5), timed("uniform-magnitude", 6)]
    eight = [timed("dense", 80), timed("ae-bert", 50), timed("uniform-magnitude", 40)]
    assert by_name(stand(figures, {1: one}))["ae-bert"]["beaten_by"] is None
    assert by_name(stand(figures, {1: one, 8: eight}))["ae-bert"]["beaten_by"] is None
    assert by_name(stand(figures, {8: eight}))["ae-bert"]["beaten_by"] == "uniform-magnitude"


def test_each_precision_is_compared_with_the_dense_models_best_of_it():
    rows = [
        timed("dense", 10),
        timed("dense", 8, runtime="onnxruntime"),
        timed("dense", 4, "int8", "onnxruntime"),
        timed("ae-bert", 2, runtime="torch"),
        timed("ae-bert", 5, runtime="onnxruntime"),
        timed("ae-bert", 3, "int8", "onnxruntime"),
        timed("one-shot", 5),
        timed("one-shot", 1, "int8", "onnxruntime", score=0.88),  # two points under itself in fp32
    ]
    league = stand({"ae-bert": [record(1.0, 1)], "one-shot": [record(1.0, 1)]}, {1: rows})
    speeds = by_name(league)["ae-bert"]["speeds"]["1"]
    assert (speeds["fp32"]["ratio"], speeds["fp32"]["runtime"]) == (4.0, "torch")
    assert (speeds["fp32"]["dense_runtime"], speeds["fp32"]["latency_ms"]) == ("onnxruntime", 2)
    assert speeds["int8"]["ratio"] == pytest.approx(4 / 3)
    assert by_name(league)["one-shot"]["speeds"]["1"].keys() == {"fp32"}
    assert league["precisions"] == ["fp32", "int8"]


def test_seeds_are_averaged_and_their_intervals_joined():
    test = {"n": 40, "dense": 0.8, "compressed": 0.78, "drop_interval": [0.0, 4.0]}
    figures = {
        "ae-bert": [record(1.0, 2, test=test), record(3.0, 4, steps=20, test=test)],
        "one-shot": ["it can not", record(1.0, 1, steps=0, test=test)],
    }
    rows = [timed("dense", 10), timed("ae-bert", 5), timed("one-shot", 5)]
    league = stand(figures, {1: rows}, seeds=(0, 1))
    row = by_name(league)["ae-bert"]
    assert (row["drop_points"], row["drop_low"], row["drop_high"]) == (2.0, 0.0, 4.0)
    assert (row["minutes"], row["steps"], row["seeds"]) == (3.0, 15, [0, 1])
    assert row["cells"] == ["cells/ae-bert-0.5-0", "cells/ae-bert-0.5-1"]
    assert (row["test"]["drop_points"], row["test"]["score"]) == (pytest.approx(2.0), 0.78)
    assert by_name(league)["one-shot"]["seeds"] == [1]
    assert league["refused"] == [{"method": "one-shot", "seed": 0, "sentence": "it can not"}]


def test_the_command_repeats_the_league(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "leanformer.league.play.play", lambda league, out, *others: asked.append((league, out))
    )
    league = league_of(JOB, ("ae-bert", "one-shot"), (0, 2), int8=False, limit_s=9.0)
    for one in (league, league_of(JOB)):
        words = shlex.split(command(one, OUT))
        assert words[:3] == ["leanformer", "league", "bert"]
        CliRunner().invoke(app, words[1:])
        assert asked[-1] == (one, OUT)
    assert "--method" not in words
