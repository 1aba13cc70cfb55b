"""What the tests of the first law share: a batch, its logits, and a fresh process that loads what was saved."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

TOLERANCE = 1e-5

DOORS = """
import sys, pathlib, torch, transformers
from safetensors.torch import load_file
if {blocked}: sys.modules["leanformer"] = None
else: import leanformer.encoders.lean
for folder in sorted(pathlib.Path({root!r}).glob({pattern!r})):
    saved = load_file(folder / "expected" / "batch.safetensors")
    expected = saved.pop("logits")
    auto = transformers.AutoModelForSequenceClassification
    model = auto.from_pretrained(folder, trust_remote_code={trust})
    worst = (model(**saved).logits - expected).abs().max().item()
    text = "a good film"
    answer = transformers.pipeline("text-classification", model=str(folder), trust_remote_code={trust})(text)[0]
    own = model(**transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code={trust})(
        text, return_tensors="pt")).logits.softmax(-1).max().item()
    print("DOOR", folder.name, worst, abs(answer["score"] - own), type(model).__module__.split(".")[0])
"""


def batch() -> dict[str, torch.Tensor]:
    """Two sequences of random tokens, the second one padded."""
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(5, 60, (2, 11), generator=generator)
    attention_mask = torch.ones_like(tokens)
    attention_mask[1, 7:] = 0
    return {"input_ids": tokens * attention_mask, "attention_mask": attention_mask}


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(**batch()).logits


def run_door(root: Path, pattern: str, blocked: bool, trust: bool) -> dict[str, tuple[float, float, str]]:
    """Load all folders in a fresh process; return largest logit and pipeline differences and the class' origin."""
    code = DOORS.format(root=str(root), pattern=pattern, blocked=blocked, trust=trust)
    environment = {**os.environ, "HF_MODULES_CACHE": str(root / "cache")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("DOOR")]
    return {name: (float(worst), float(answer), origin) for name, worst, answer, origin in lines}
