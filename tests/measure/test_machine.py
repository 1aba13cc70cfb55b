import json

import torch

from leanformer.measure.machine import machine


def test_facts_are_there_and_json():
    facts = json.loads(json.dumps(machine(threads=3)))
    assert facts["threads"] == 3
    assert facts["cpu"]
    assert facts["cores"] >= 1
    assert set(facts["flags"]) <= {"avx2", "avx512", "vnni", "bf16", "amx", "dot"}
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["versions"]["python"].startswith("3.")
    assert len(facts["load"]) == 3


def test_threads_default_to_the_usable_ones():
    facts = machine()
    assert facts["threads"] == facts["cores"]
