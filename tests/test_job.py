"""The job and its file."""

from dataclasses import replace

import pytest

from leanformer.budget import Budget
from leanformer.errors import BudgetError, RunError
from leanformer.job import Job
from leanformer.tasks.load import DataSpec

ODD_TEXT = 'a "quoted" \\ path\twith\x7f ümlauts and 🎬'


def written(job, tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(job.to_toml(), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "job",
    [
        Job("bert", DataSpec("reviews")),
        Job("bert", DataSpec("sst2", data_dir="glue", train_rows=10_000), Budget(0.7), seed=3, limit_s=20.0),
        Job(
            ODD_TEXT, DataSpec(ODD_TEXT, text=ODD_TEXT), exports=(), max_tokens=64, quick=True, finetune=True
        ),
    ],
)
def test_file_gives_the_same_job_back(job, tmp_path):
    assert Job.from_toml(written(job, tmp_path)) == job


def test_resolved_paths_are_absolute_and_ids_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews").mkdir()
    job = Job("someone/some-model", DataSpec("reviews")).resolved()
    assert job.data.source == str(tmp_path / "reviews")
    assert job.model == "someone/some-model"


def test_differences_name_the_setting_and_both_values():
    job = Job("bert", DataSpec("reviews"), method="ae-bert", threads=2)
    assert job.differences(job) == []
    other = replace(job, seed=1, max_tokens=64, budget=Budget(0.7))
    assert job.differences(other) == [
        "budget.pruning_ratio (0.5, now 0.7)",
        "seed (0, now 1)",
        "max_tokens (not set, now 64)",
    ]


def test_command_gives_the_ratio_in_full():
    command = Job("bert", DataSpec("reviews"), Budget(0.12345678)).command("small")
    assert "--pruning-ratio 0.12345678 " in command


def test_a_run_of_scores_only_says_so(tmp_path):
    job = Job("bert", DataSpec("reviews"), method="one-shot", timing=False)
    assert "--no-timing" in job.command("small")
    assert Job.from_toml(written(job, tmp_path)) == job
    assert "--no-timing" not in replace(job, timing=True).command("small")


def test_command_repeats_the_job():
    job = Job(
        "my bert", DataSpec("sst2", data_dir="glue"), Budget(0.7), seed=3, threads=2, exports=(), limit_s=20.0
    )
    command = job.command("small")
    assert command.startswith("leanformer compress 'my bert' --data sst2 --data-dir glue --pruning-ratio 0.7")
    assert "--seed 3" in command
    assert "--no-export" in command
    assert "--limit 20.0" in command
    assert command.endswith("--out small")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = ", "is not TOML"),
        ('model = "bert"\nspeed = 3\n[data]\nsource = "x"', "unknown setting 'speed'"),
        ('model = "bert"\nseed = "one"\n[data]\nsource = "x"', "'seed' has to be of type int"),
        ('model = "bert"', "lacks a setting"),
        ('model = "bert"\ndata = 3', "has to be a table"),
    ],
)
def test_bad_file_is_refused_in_one_sentence(text, message, tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(text)
    with pytest.raises(RunError, match=message):
        Job.from_toml(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(RunError, match="can not be read"):
        Job.from_toml(tmp_path / "none.toml")


def test_bad_ratio_in_a_file_is_refused(tmp_path):
    path = written(Job("bert", DataSpec("reviews"), Budget(0.5)), tmp_path)
    path.write_text(path.read_text().replace("0.5", "1.5"))
    with pytest.raises(BudgetError, match="outside"):
        Job.from_toml(path)


@pytest.mark.parametrize(
    "wrong", [{"threads": 0}, {"max_tokens": 0}, {"seed": -1}, {"seed": 2**32}, {"exports": ("tflite",)}]
)
def test_impossible_setting_is_refused(wrong):
    with pytest.raises(RunError):
        Job("bert", DataSpec("reviews"), **wrong)


def test_a_part_of_the_exports_is_repeated_from_the_job_file(tmp_path):
    job = Job("bert", DataSpec("reviews"), Budget(0.5), exports=("onnx",))
    assert job.command("small") == "leanformer compress --job small/job.toml --out small"
    assert Job.from_toml(written(job, tmp_path)) == job


def test_options_and_granularity_are_the_methods_and_come_back(tmp_path):
    data = DataSpec("reviews")
    job = Job("bert", data, method="drop-layers", options={"strategy": "symmetric"})
    assert (job.granularity, job.budget.pruning_ratio) == ("layer", 0.5)
    (tmp_path / "job.toml").write_text(job.to_toml())
    assert Job.from_toml(tmp_path / "job.toml") == job
    command = job.command("out")
    assert "--option strategy=symmetric" in command
    assert "--granularity" not in command
    other = Job("bert", data, method="drop-layers")
    assert other.differences(job) == ["options.strategy (top, now symmetric)"]
    assert "--granularity weight" in Job("bert", data, method="ae-bert", granularity="weight").command("out")


def test_a_method_that_goes_by_the_score_needs_no_ratio():
    data = DataSpec("reviews")
    assert Job("bert", data, method="astar-heads").budget == Budget(max_drop_points=0.5)
    assert Job("bert", data, Budget(max_drop_points=2.0), "taylor-heads").budget.pruning_ratio is None
    assert Job("bert", data, method="taylor-heads").budget.pruning_ratio == 0.5
    assert Job("bert", data, Budget(max_drop_points=2.0), "ae-bert").budget.pruning_ratio == 0.5
    agreed = Job("bert", data, method="fastbert", options={"agreement": 0.98})
    assert agreed.budget == Budget()  # the agreement ends its work
    with pytest.raises(
        BudgetError, match="--option agreement and --pruning-ratio both say how far fastbert goes"
    ):
        Job("bert", data, Budget(0.5), "fastbert", options={"agreement": 0.98})
    assert Job("bert", data, method="fastbert").budget.pruning_ratio == 0.5


@pytest.mark.parametrize("budget", [Budget(speedup=2.0), Budget(latency_ms=5.0), Budget(macs_share=0.5)])
def test_a_method_that_counts_weights_aims_at_nothing_else(budget):
    with pytest.raises(BudgetError, match="grain counts weights"):
        Job("bert", DataSpec("reviews"), method="grain", budget=budget)


def test_what_an_option_names_is_found_from_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "slow").mkdir()
    (tmp_path / "a,b").mkdir()
    monkeypatch.chdir(tmp_path)
    job = Job("bert", DataSpec("reviews"), method="length-adaptive", options={"trained": "slow"})
    assert job.resolved().options == {"trained": str(tmp_path / "slow")}
    assert Job("bert", DataSpec("reviews"), method="length-adaptive").resolved().options == {"trained": ""}
    for given, expected in (
        ("rte@slow, stsb-folder,slow", f"rte@{tmp_path / 'slow'},stsb-folder,{tmp_path / 'slow'}"),
        ("a,b", str(tmp_path / "a,b")),
    ):
        job = Job("bert", DataSpec("reviews"), method="multitask", options={"with": given})
        assert job.resolved().options["with"] == expected
