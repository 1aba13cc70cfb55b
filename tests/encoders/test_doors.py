"""The package door, in fresh processes: `import leanformer` before or after transformers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from leanformer.encoders.saving import save_model
from leanformer.structure.surgery import slice_units

HEAD_MASK = {(0, "head"): [1, 0, 1, 0]}


@pytest.fixture(scope="module")
def lean_folder(tiny_model, tiny_tokenizer, tmp_path_factory):
    import torch

    masks = {key: torch.tensor(mask, dtype=torch.float32) for key, mask in HEAD_MASK.items()}
    folder = tmp_path_factory.mktemp("lean")
    assert save_model(slice_units(tiny_model("bert"), masks), tiny_tokenizer, folder) == "lean"
    (folder / "carried.py").unlink(missing_ok=True)  # so that only the package can know the classes
    return folder


@pytest.mark.parametrize(
    "imports",
    [
        pytest.param("import leanformer, transformers", marks=pytest.mark.thorough),
        "import transformers, leanformer",
    ],
)
def test_auto_model_loads_after_plain_import(lean_folder, imports):
    """What transformers imports late is still to be had behind the door."""
    script = (
        f"{imports}\n"
        "from transformers import AutoModelForSequenceClassification as Auto, AutoTokenizer, Trainer, pipeline\n"
        f"model = Auto.from_pretrained({str(lean_folder)!r})\n"
        "print(type(model).__name__, model.base_model.encoder.layer[0].attention.self.query.out_features)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["LeanBertForSequenceClassification", "16"], done.stderr


def test_import_stays_light():
    script = "import sys, leanformer; print(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.thorough
@pytest.mark.parametrize("module", ["carried", "view"])
def test_every_module_can_be_the_first_to_import_transformers(module):
    script = f"import leanformer.encoders.{module}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
