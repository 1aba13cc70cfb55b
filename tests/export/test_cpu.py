import os

import pytest

from leanformer.export.cpu import Cpu, cpu, usable_threads

OLD = "model name\t: Old Chip\nflags\t\t: fpu sse4_2 avx2\n\nmodel name\t: Second\nflags\t: amx_tile\n"
NEW = "model name\t: New Chip\nflags\t\t: avx2 avx512f avx512_vnni avx512_bf16 amx_tile\n"


@pytest.mark.parametrize(
    ("text", "name", "features"),
    [
        (OLD, "Old Chip", ("avx2",)),
        (NEW, "New Chip", ("avx2", "avx512", "vnni", "bf16", "amx")),
        ("Features\t: fp asimd asimddp bf16\n", None, ("bf16", "dot")),
    ],
)
def test_flags_are_read(tmp_path, text, name, features):
    (tmp_path / "cpuinfo").write_text(text)
    found = cpu(tmp_path / "cpuinfo")
    assert found.features == features
    assert name is None or found.name == name


def test_no_description_means_no_feature(tmp_path):
    assert cpu(tmp_path / "absent").features == ()


@pytest.mark.parametrize(
    ("architecture", "features", "saturates"),
    [("x86_64", ("avx2", "avx512"), True), ("x86_64", ("avx2", "vnni"), False), ("aarch64", (), False)],
)
def test_only_x86_without_vnni_saturates(architecture, features, saturates):
    assert Cpu("chip", architecture, features).saturates_int8 is saturates


def test_threads_are_those_of_this_process():
    assert 1 <= usable_threads() <= os.cpu_count()
