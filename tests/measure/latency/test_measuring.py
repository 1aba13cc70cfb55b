"""Measuring keeps each probe, goes on where it was killed, and refuses what it can not time."""

import pytest
import torch

from latency_example import Law
from leanformer.encoders.saving import save_model
from leanformer.errors import LatencyError, LeanformerError
from leanformer.export.cpu import Cpu
from leanformer.export.runtimes import VARIANTS
from leanformer.measure.latency import measuring
from leanformer.measure.latency.measuring import Wanted, choose_variants, known_costs, measure_table
from leanformer.measure.latency.plan import probes
from leanformer.measure.latency.store import read_table, table_path
from leanformer.measure.latency.table import Setting, Shape
from tiny import build_config, build_model, build_tokenizer

TORCH = (("torch", "fp32"),)
LAW = Law()


class Killed(BaseException):
    """What no handler of ours stops."""


@pytest.fixture
def model_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save_model(build_model("bert", heads=2, width=32), build_tokenizer(), tmp_path / "bert")
    return tmp_path / "bert"


@pytest.fixture
def fake(monkeypatch):
    """Runners that are their own shape, a clock that obeys the law, and a list of what was timed."""
    timed = []

    def interleave(runners, samples, rounds, limit_s):
        probe, dense = runners["probe"], runners["dense"]
        if fake_kill and len(timed) == fake_kill[0]:
            raise Killed
        timed.append((probe, samples[0]["input_ids"].shape))
        tokens = samples[0]["input_ids"].shape[1]
        return {
            "probe": (LAW.probe_ms(probe, tokens),) * rounds,
            "dense": (LAW.probe_ms(dense, tokens),) * rounds,
        }

    fake_kill = []
    monkeypatch.setattr(measuring, "interleave", interleave)
    monkeypatch.setattr(measuring.Workshop, "runner", lambda self, shape, *variant: shape)
    return timed, fake_kill


def test_what_is_measured_is_what_the_clock_said(model_folder, fake):
    timed, _ = fake
    table, measured = measure_table(model_folder, Wanted([1, 2], [8, 16], TORCH, 1, 6))
    assert measured == len(probes(table.subject))
    assert len(timed) == len(table.points) == 4 * measured
    assert {shape for _, shape in timed} == {(1, 8), (1, 16), (2, 8), (2, 16)}
    costs = known_costs(build_config("bert", heads=2, width=32), Setting("torch", "fp32", 2, 12, 1))
    shapes = [(2, 32), (1, 5), (0, 8)]
    assert costs.predict_ms(shapes) == pytest.approx(LAW.model_ms(shapes, 12))
    assert read_table(table.subject) == table
    assert table.sessions[0]["machine"]["threads"] == 1


@pytest.mark.parametrize("killed_at", [0, 1, 5])
def test_a_killed_measurement_goes_on(model_folder, fake, killed_at):
    timed, kill = fake
    kill.append(killed_at)
    wanted = Wanted([1], [8], TORCH, 1, 6)
    with pytest.raises(Killed):
        measure_table(model_folder, wanted)
    subject = measuring.subject_of(build_config("bert", heads=2, width=32))
    assert len(read_table(subject).points) == killed_at
    kill.clear()
    before = len(timed)
    table, measured = measure_table(model_folder, wanted)
    assert before == killed_at
    assert measured == len(timed) - before == len(probes(subject)) - killed_at
    assert len(table.points) == len(table.known) == len(probes(subject))


def test_nothing_is_measured_twice(model_folder, fake):
    timed, _ = fake
    first, _ = measure_table(model_folder, Wanted([1], [8], TORCH, 1, 6))
    count = len(timed)
    again, measured = measure_table(model_folder, Wanted([1], [8], TORCH, 1, 6))
    assert (again, measured, len(timed)) == (first, 0, count)
    more, _ = measure_table(model_folder, Wanted([1, 4], [8], TORCH, 1, 6))
    assert len(timed) == 2 * count
    assert len(more.sessions) == 2


def test_another_version_of_the_runtime_is_measured_again(model_folder, fake, monkeypatch):
    timed, _ = fake
    wanted = Wanted([1], [8], TORCH, 1, 6)
    measure_table(model_folder, wanted)
    count = len(timed)
    monkeypatch.setattr(measuring, "library_versions", lambda: {"torch": "99"})
    _, measured = measure_table(model_folder, wanted)
    assert measured == count


def test_a_real_clock_leaves_a_complete_table_and_the_threads(model_folder):
    before = torch.get_num_threads()
    table, _ = measure_table(model_folder, Wanted([2], [8], TORCH, 1, 6))
    assert torch.get_num_threads() == before
    setting = Setting("torch", "fp32", 2, 8, 1)
    costs = known_costs(build_config("bert", heads=2, width=32), setting)
    assert costs.predict_ms([(2, 32)] * 2) > 0
    dense = [point.reference_ms for point in table.points]
    assert min(dense) > 0
    empty = table.of(setting)[Shape(2, 32, 1)]
    assert 0 < empty.ratio_low <= empty.ratio <= empty.ratio_high


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batches": [0]}, "--batch 0"),
        ({"tokens": [8, -1]}, "--tokens -1"),
        ({"threads": 0}, "--threads 0"),
        ({"rounds": 2}, "--rounds 2"),
        ({"batches": []}, "--batch 0"),
    ],
)
def test_what_can_not_be_timed_is_refused(changes, words):
    with pytest.raises(LatencyError, match=words):
        Wanted(**{"variants": TORCH, **changes})


def test_texts_that_the_model_does_not_take_are_refused(model_folder, fake):
    with pytest.raises(LatencyError, match="64 at most"):
        measure_table(model_folder, Wanted([1], [65], TORCH, 1, 6))
    subject = measuring.subject_of(build_config("bert", heads=2, width=32))
    assert not table_path(subject).exists()


def test_variants_are_chosen_by_name(monkeypatch):
    assert choose_variants(["torch"], ["fp32"]) == [("torch", "fp32")]
    assert set(choose_variants([], ["int8"])) <= {("onnxruntime", "int8"), ("openvino", "int8")}
    with pytest.raises(LatencyError, match="no runtime 'tensorrt'"):
        choose_variants(["tensorrt"], [])
    with pytest.raises(LatencyError, match="no precision 'int3'"):
        choose_variants([], ["int3"])
    with pytest.raises(LatencyError, match="torch has no int8"):
        choose_variants(["torch"], ["int8"])
    known = (("torch", "fp32"), ("torch", "fp32-compiled"), ("torch", "bf16"))
    monkeypatch.setattr(measuring, "VARIANTS", known)
    for flags, usual in (((), known[:1]), (("bf16",), known[::2])):
        monkeypatch.setattr(measuring, "cpu", lambda flags=flags: Cpu("Test CPU", "x86_64", flags))
        assert choose_variants([], []) == list(usual)
    assert choose_variants([], ["fp32-compiled"]) == [known[1]]
    monkeypatch.setattr(measuring, "VARIANTS", VARIANTS)
    absent = {"onnx": ("none_such",), "openvino": ("none_such",)}
    monkeypatch.setattr("leanformer.export.extras.PACKAGES", absent)
    assert {runtime for runtime, _ in choose_variants([], [])} == {"torch"}
    with pytest.raises(LeanformerError, match="none_such"):
        choose_variants(["onnxruntime"], [])
