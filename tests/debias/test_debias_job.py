"""The job of a debiasing: refused where nothing can come of it, written and read back, and its command line."""

import shlex

import pytest

from leanformer.debias.job import DebiasJob, DebiasRun
from leanformer.errors import LeanformerError, RunError
from leanformer.tasks.load import DataSpec

PAIRS = DataSpec("pairs", kind="embedding")


def job(**given):
    return DebiasJob("a-model", "wiki.txt", **{"data": PAIRS, "threads": 1, **given})


def test_defaults_are_filled_in():
    made = job()
    assert (made.method, made.granularity, made.options["steps"]) == ("debias-movement", "unit", 120)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"data": None}, "add --data"),
        ({"levels": ()}, "--levels names none"),
        ({"levels": (0.1, 0.1)}, "or one twice"),
        ({"levels": (1.5,)}, "the level 1.5 is no share"),
        ({"levels": (-1.0,), "options": {"selection": "threshold"}}, "no weight of a penalty"),
        ({"granularity": "atom"}, "choose one of unit, head, neuron, block, hybrid"),
        ({"method": "magic"}, "choose one of debias-movement, fair-distillation"),
        ({"options": {"speed": 1}}, "has no option 'speed'"),
        ({"options": {"debias": 2}}, "the option debias can not be 2"),
        ({"options": {"steps": 0}}, "the option steps can not be 0"),
        ({"max_drop_points": -1.0}, "can not be below 0"),
        ({"groups": "groups.txt"}, "--groups is of fair-distillation"),
        ({"most": 0}, "--most 0 leaves nothing"),
        ({"seed": -1}, "the seed -1"),
        ({"method": "fair-distillation"}, "leave --data out"),
        ({"method": "fair-distillation", "data": None, "levels": (0.3,)}, "--levels is of debias-movement"),
    ],
)
def test_what_can_not_work_is_refused(given, sentence):
    with pytest.raises(LeanformerError, match=sentence):
        job(**given)


@pytest.mark.parametrize(
    "made",
    [
        job(levels=(0.05, 0.1), granularity="block", options={"layers": "last"}, seed=3, suite_data="bias"),
        DebiasJob("a-model", "wiki.txt", "fair-distillation", groups="groups.txt", threads=1),
    ],
    ids=["movement", "distillation"],
)
def test_a_job_comes_back_from_its_file(made, tmp_path):
    path = tmp_path / "debias.toml"
    path.write_text(made.to_toml(), encoding="utf-8")
    assert DebiasJob.from_toml(path) == made
    assert made.differences(DebiasJob.from_toml(path)) == []


def test_the_command_says_what_is_not_usual():
    words = shlex.split(job(levels=(0.05,), options={"layers": "last"}, seed=3).command("out"))
    assert words[:3] == ["leanformer", "debias", "a-model"]
    for flag, value in (
        ("--corpus", "wiki.txt"),
        ("--data", "pairs"),
        ("--kind", "embedding"),
        ("--levels", "0.05"),
        ("--option", "layers=last"),
        ("--seed", "3"),
        ("--out", "out"),
    ):
        assert words[words.index(flag) + 1] == value
    assert "--granularity" not in words


def test_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("wiki.txt", "words.json"):
        (tmp_path / name).touch()
    made = job(options={"words": "words.json"}).resolved()
    assert made.corpus == str(tmp_path / "wiki.txt")
    assert made.options["words"] == str(tmp_path / "words.json")
    assert made.model == "a-model"  # a hub id stays one


def test_a_run_goes_on_with_the_same_job_alone(tmp_path):
    with DebiasRun.create(tmp_path / "run", job(), resume=False) as run:
        run.stage("one", lambda _: {"found": 1})
    again = DebiasRun.create(tmp_path / "run", job(), resume=True)
    assert again.finished("one") == {"found": 1}
    assert again.asked == job()
    with pytest.raises(RunError, match=r"differs in seed \(0, now 1\)"):
        DebiasRun.create(tmp_path / "run", job(seed=1), resume=True)
    with pytest.raises(RunError, match="add --resume"):
        DebiasRun.create(tmp_path / "run", job(), resume=False)
    with pytest.raises(RunError, match=r"not a run of leanformer: it has no debias\.toml"):
        DebiasRun.open(tmp_path)
