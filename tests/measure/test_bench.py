import json
import time
from dataclasses import asdict

import numpy as np
import pytest
import torch

from leanformer.encoders.forms import FORMS
from leanformer.encoders.saving import save_model
from leanformer.errors import DataError, ModelError
from leanformer.export.cpu import Cpu
from leanformer.export.layout import artefact
from leanformer.export.runtimes import COMPILED, PRECISIONS, RUNTIMES, VARIANTS, CompileError, TorchRunner
from leanformer.measure.bench import _wanted, bench, check_sizes
from leanformer.measure.samples import sample_batches
from leanformer.structure.surgery import slice_units
from leanformer.tasks.metrics import score
from leanformer.tasks.predict import predict


@pytest.fixture(scope="module")
def pair(tiny_model, tiny_tokenizer, tmp_path_factory):
    """Folders of a dense model and a smaller one, and the smaller one in memory; one layer is traced soonest."""
    root = tmp_path_factory.mktemp("bench")
    dense = tiny_model("bert", layers=1, hidden=64, width=512)
    lean = slice_units(dense, {(0, "neuron"): (torch.arange(512) < 64).float()})
    save_model(dense, tiny_tokenizer, root / "dense")
    save_model(lean, tiny_tokenizer, root / "lean")
    return {"dense": root / "dense", "lean": root / "lean"}, lean


@pytest.fixture(scope="module")
def table(pair, mood_train, mood_held_out, mood_task, tiny_tokenizer, tmp_path_factory):
    """All variants of both models, and where their exports are kept."""
    homes = {name: tmp_path_factory.mktemp(name) for name in pair[0]}
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("leanformer.measure.bench.cpu", lambda: Cpu("a CPU", "x86_64", ("vnni", "bf16")))
        rows = timed(pair, mood_held_out, mood_task, mood_train, tiny_tokenizer, homes)
    assert torch.get_num_threads() == before
    return rows, homes


def timed(pair, mood_held_out, mood_task, mood_train, tiny_tokenizer, homes):
    return bench(
        pair[0],
        mood_held_out,
        tiny_tokenizer,
        mood_task,
        batches=(1, 4),
        threads=1,
        rounds=4,
        artefacts=homes,
        calibration=mood_train.select(range(8)),
        limit_s=0.0,
    )


def test_the_whole_table(table, pair, mood_held_out, tiny_tokenizer):
    (folders, lean), (rows, homes) = pair, table
    variants = [variant for variant in VARIANTS if variant[1] in PRECISIONS]
    expected = [(batch, name, *variant) for batch in (1, 4) for name in folders for variant in variants]
    assert [(row.batch, row.model, row.runtime, row.precision) for row in rows] == expected
    check_numbers(
        rows, score("accuracy", predict(lean, mood_held_out, tiny_tokenizer), mood_held_out["label"][:])
    )
    for name in folders:  # kept where the caller wants them
        assert artefact(homes[name], "openvino", "int8").is_file()


def check_numbers(rows, lean_score):
    for row in rows:
        assert row.latency_low <= row.latency_ms <= row.latency_high
        assert row.ratio_low <= row.ratio <= row.ratio_high
        baseline = next(other for other in rows if other.batch == row.batch)
        assert row.ratio == pytest.approx(baseline.latency_ms / row.latency_ms)
        assert 0 <= row.score <= 1
        assert row.first_call_ms > 0
        assert row.rounds == len(row.rounds_ms) == 4
        assert not row.settled  # so few rounds say nothing
        assert row.latency_ms == pytest.approx(np.median(row.rounds_ms), abs=1e-3)
        assert json.loads(json.dumps(asdict(row)))["peak_mb"] is None
        if row.precision.startswith("fp32") and row.model == "lean":
            assert row.score == pytest.approx(lean_score)
    size = {(row.model, row.runtime, row.precision): row.size_mb for row in rows}
    for runtime in ("torch", "onnxruntime", "openvino"):
        assert size["lean", runtime, "fp32"] < size["dense", runtime, "fp32"]
    assert size["dense", "onnxruntime", "int8"] < size["dense", "onnxruntime", "fp32"]
    assert size["dense", "torch", "bf16"] == pytest.approx(size["dense", "torch", "fp32"] / 2)
    assert size["dense", "openvino", "bf16"] == size["dense", "openvino", "fp32"]


def test_the_baseline_is_always_there(pair, table, mood_held_out, mood_task, tiny_tokenizer):
    folders, _ = pair
    rows = bench(
        {"lean": folders["lean"]},
        mood_held_out,
        tiny_tokenizer,
        mood_task,
        runtimes=["onnxruntime"],
        precisions=["fp32"],
        batches=[2],
        threads=1,
        rounds=2,
        limit_s=0.0,
        artefacts=table[1],
    )
    assert [(row.runtime, row.precision) for row in rows] == [("torch", "fp32"), ("onnxruntime", "fp32")]
    assert (rows[0].ratio, rows[0].ratio_low, rows[0].ratio_high) == (1.0, 1.0, 1.0)


def test_forms_are_rows_of_their_own(pair, mood_held_out, mood_task, tiny_tokenizer):
    rows = bench(
        {"lean": pair[0]["lean"]},
        mood_held_out,
        tiny_tokenizer,
        mood_task,
        runtimes=["torch"],
        precisions=["fp32"],
        batches=[2],
        threads=1,
        rounds=2,
        limit_s=0.0,
        forms=["first-token"],
    )
    assert [(row.runtime, row.form) for row in rows] == [("torch", ""), ("torch", "first-token")]
    assert rows[0].ratio == 1.0 != rows[1].ratio
    assert rows[0].score == rows[1].score


def test_attention_written_out_is_a_precision_of_pytorch_and_a_form_of_the_others(monkeypatch):
    monkeypatch.setattr("leanformer.measure.bench.cpu", lambda: Cpu("a CPU", "x86_64", ("bf16",)))
    wanted = _wanted(["lean"], RUNTIMES, PRECISIONS, FORMS)
    assert len(set(wanted)) == len(wanted)
    in_torch = [(precision, form) for _, runtime, precision, form in wanted if runtime == "torch"]
    assert in_torch == [
        (precision, form) for form in ("", "first-token") for precision in ("fp32", "fp32-eager", "bf16")
    ]
    for runtime, precision in (("onnxruntime", "int8"), ("openvino", "bf16")):
        assert [one[3] for one in wanted if one[1:3] == (runtime, precision)] == list(FORMS)


def test_a_file_of_another_model_is_refused(pair, table, mood_held_out, mood_task, tiny_tokenizer):
    folders, _ = pair
    with pytest.raises(ModelError, match=r"model\.onnx answers differently.*another model"):
        bench(
            {"dense": folders["dense"]},
            mood_held_out,
            tiny_tokenizer,
            mood_task,
            runtimes=["onnxruntime"],
            precisions=["fp32"],
            rounds=2,
            limit_s=0.0,
            threads=1,
            artefacts={"dense": table[1]["lean"]},
        )


def test_batches_are_full_and_spread_over_the_lengths(mood_train, tiny_tokenizer):
    lengths = sorted(len(tokens) for tokens in mood_train["input_ids"])
    for size in (1, 8):
        samples = sample_batches(mood_train, tiny_tokenizer, size)
        assert 4 <= len(samples) <= 12
        assert all(sample["input_ids"].shape[0] == size for sample in samples)
        assert all(sample["input_ids"].dtype == np.int64 and "labels" not in sample for sample in samples)
        widths = [sample["input_ids"].shape[1] for sample in samples]
        assert widths == sorted(widths, reverse=True)
        assert widths[0] >= np.quantile(lengths, 0.85)
        assert widths[-1] <= np.quantile(lengths, 0.25)


def test_too_few_rows_for_a_batch(pair, mood_held_out, mood_task, tiny_tokenizer):
    with pytest.raises(DataError, match="3 texts can not fill a batch of 8"):
        bench(pair[0], mood_held_out.select(range(3)), tiny_tokenizer, mood_task)


@pytest.mark.parametrize(
    ("sizes", "rounds", "said"),
    [((0,), 4, "--batch 0 can not"), ((), 4, "--batch 0"), ((1,), 1, "--rounds 1 gives")],
)
def test_what_gives_no_interval_is_refused(sizes, rounds, said):
    with pytest.raises(DataError, match=said):
        check_sizes(sizes, rounds)


def test_the_first_call_is_timed_before_the_scoring(
    pair, mood_held_out, mood_task, tiny_tokenizer, monkeypatch
):
    """Scoring prepares a runtime as well: what comes after it is no first call."""

    class SlowStart(TorchRunner):
        started = False

        def __call__(self, batch):
            if not self.started:
                time.sleep(0.2)
            self.started = True
            return super().__call__(batch)

    def load(source, runtime, precision, threads, form):
        return SlowStart(pair[1], threads)

    monkeypatch.setattr("leanformer.measure.field.load_runner", load)
    rows = bench(
        {"lean": pair[0]["lean"]},
        mood_held_out,
        tiny_tokenizer,
        mood_task,
        ["torch"],
        ["fp32"],
        batches=(2, 1),
        threads=1,
        rounds=2,
        limit_s=0.0,
    )
    assert [row.first_call_ms == rows[0].first_call_ms >= 200 for row in rows] == [True, True]


@pytest.fixture
def lean_bench(pair, mood_held_out, mood_task, tiny_tokenizer):
    """lean_bench(...) -> the rows of the smaller model alone, two rounds."""

    def run(**settings):
        given = {"batches": [2], "threads": 1, "rounds": 2, "limit_s": 0.0} | settings
        return bench({"lean": pair[0]["lean"]}, mood_held_out, tiny_tokenizer, mood_task, **given)

    return run


def test_bf16_is_left_out_where_the_processor_lacks_it_and_that_is_said_once(lean_bench, monkeypatch):
    said = []
    monkeypatch.setattr("leanformer.measure.bench.say", said.append)
    monkeypatch.setattr("leanformer.measure.bench.cpu", lambda: Cpu("old", "x86_64", ("avx2",)))
    rows = lean_bench(runtimes=["torch"], batches=[1, 2])
    assert [row.precision for row in rows] == ["fp32", "fp32-eager"] * 2
    assert said == ["bf16 is not timed: this processor does not compute in bfloat16"]


def test_what_can_not_be_compiled_is_left_out_and_said(lean_bench, monkeypatch):
    def compile_nothing(model, dynamic):
        def fail(**inputs):
            raise RuntimeError("no compiler")

        return fail

    said = []
    monkeypatch.setattr("leanformer.measure.bench.say", said.append)
    monkeypatch.setattr(torch, "compile", compile_nothing)
    rows = lean_bench(runtimes=["torch"], precisions=["fp32", COMPILED])
    assert [row.precision for row in rows] == ["fp32"]
    assert said == [f"lean torch {COMPILED} is left out: torch.compile fails here: no compiler"]
    assert issubclass(CompileError, ModelError)


def test_exactly_the_variants_that_are_named(lean_bench):
    rows = lean_bench(
        variants={
            "lean": [("torch", "fp32-eager", ""), ("torch", "fp32", ""), ("torch", "fp32", "first-token")]
        }
    )
    assert [(row.precision, row.form) for row in rows] == [
        ("fp32", ""),
        ("fp32-eager", ""),
        ("fp32", "first-token"),
    ]
    assert {row.runtime for row in rows} == {"torch"}


def test_rounds_go_on_until_ratios_settle(lean_bench):
    """A model against itself, in both kinds of attention: at most 200 rounds of milliseconds."""
    for row in lean_bench(runtimes=["torch"], precisions=["fp32", "fp32-eager"], limit_s=20.0):
        assert row.rounds >= 6
        half = (row.ratio_high - row.ratio_low) / 2
        assert row.settled == (half <= 0.05 * row.ratio)


@pytest.mark.thorough
def test_peak_memory_is_that_of_each_variant_alone(lean_bench, table, pair):
    lean_home = table[1]["lean"]
    rows = lean_bench(
        runtimes=["onnxruntime"],
        precisions=["fp32"],
        memory=True,
        batches=[1, 2],
        artefacts={"lean": lean_home},
    )
    peak = {(row.runtime, row.batch): row.peak_mb for row in rows}
    assert peak["torch", 1] == peak["torch", 2]  # one process answers the longest batch of all
    assert 20 < peak["onnxruntime", 1] < peak["torch", 1] / 1.5  # nobody else's libraries are in it
