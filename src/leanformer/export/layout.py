"""Where exported files lie, how they get there whole, and how large they are."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from leanformer.encoders.carried import TASKS
from leanformer.encoders.families import family_of, is_lean
from leanformer.encoders.forms import PLAIN
from leanformer.encoders.lean import auto_class_of
from leanformer.encoders.sentence import is_embedder
from leanformer.errors import ModelError
from leanformer.runtime.cascade import description

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Runtime = Literal["torch", "onnxruntime", "openvino"]
Precision = Literal["fp32", "bf16", "int8", "int8-static"]

UNFINISHED = ".partial"
"""How the names of scratch folders end: what a kill leaves of them, a resumed run removes."""

FOLDERS: dict[str, str] = {"onnxruntime": "onnx", "openvino": "openvino"}
FILES: dict[tuple[str, str], str] = {
    ("onnxruntime", "fp32"): "model.onnx",
    ("onnxruntime", "int8"): "model_int8.onnx",
    ("onnxruntime", "int8-static"): "model_int8_static.onnx",
    ("openvino", "fp32"): "openvino_model.xml",
    ("openvino", "bf16"): "openvino_model.xml",  # the same file, computed in bfloat16
    ("openvino", "int8"): "openvino_model_int8.xml",
}
BYTES_PER_MB = 1_000_000


def file_name(runtime: str, precision: str, form: str = PLAIN) -> str:
    """Name the file of a runtime, precision and form.

    Args:
        runtime: "onnxruntime" or "openvino".
        precision: One that the runtime has, see `FILES`.
        form: One of `leanformer.encoders.forms.FORMS`.

    Returns:
        For example model_int8.onnx, or model_first_token_int8.onnx.

    Raises:
        ModelError: If the runtime has no such precision.
    """
    if (runtime, precision) not in FILES:
        known = ", ".join(f"{name} {kind}" for name, kind in FILES)
        raise ModelError(f"there is no file for {runtime} in {precision}: choose one of {known}")
    stem = Path(FILES[runtime, "fp32"]).stem
    mark = "".join(f"_{part}" for part in form.replace("-", "_").split("+") if part)
    return FILES[runtime, precision].replace(stem, stem + mark, 1)


def artefact(root: Path, runtime: str, precision: str, form: str = PLAIN) -> Path:
    """Name the file of a runtime, precision and form, with its folder.

    Args:
        root: The folder that holds `onnx/` and `openvino/`.
        runtime: "onnxruntime" or "openvino".
        precision: One that the runtime has, see `FILES`.
        form: One of `leanformer.encoders.forms.FORMS`.

    Returns:
        For example root/onnx/model_int8.onnx; it need not exist.

    Raises:
        ModelError: If the runtime has no such precision.
    """
    return root / FOLDERS[runtime] / file_name(runtime, precision, form)


def find_artefact(source: Path, runtime: str, precision: str, form: str = PLAIN) -> Path:
    """Find an exported file.

    Args:
        source: The file itself, its folder, or the folder above that.
        runtime: "onnxruntime" or "openvino".
        precision: One that the runtime has, see `FILES`.
        form: One of `leanformer.encoders.forms.FORMS`.

    Returns:
        The file.

    Raises:
        ModelError: If it is in none of these places.
    """
    wanted = artefact(source, runtime, precision, form)
    for path in (source, source / wanted.name, wanted):
        if path.is_file():
            return path
    raise ModelError(
        f"there is no {wanted.name} in {source}: write it with leanformer export --format {FOLDERS[runtime]}"
        + (" --int8" if precision.startswith("int8") else "")
        + "".join(f" --{part}" for part in form.split("+") if part)
    )


def parts(path: Path) -> list[Path]:
    """List the files that belong to one exported model: weights may lie beside the graph, and further parts."""
    beside = [path.with_name(path.name + ".data"), path.with_suffix(".bin"), description(path)]
    beside += sorted(path.parent.glob(f"{path.stem}.part-*")) if path.parent.is_dir() else []
    return [path, *(other for other in beside if other.is_file())]


def artefact_mb(path: Path) -> float:
    """Return the size of an exported model with its weights, in megabytes of 10^6 bytes."""
    return sum(part.stat().st_size for part in parts(path)) / BYTES_PER_MB


@contextmanager
def staged(folder: Path, last: str) -> Iterator[Path]:
    """Give a scratch folder whose files are moved into `folder` when the block ends well.

    Args:
        folder: Where the files are to be; made when needed. Other files in it stay.
        last: The file that is moved last, so that where it is, everything is.

    Yields:
        The scratch folder, on the same file system.

    Raises:
        ModelError: If the folder can not be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"the folder {folder.parent} can not be made ({error.strerror}): name another place"
        ) from error
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}-", suffix=UNFINISHED, dir=folder.parent
    ) as scratch:
        yield Path(scratch)
        folder.mkdir(exist_ok=True)
        for path in sorted(Path(scratch).iterdir(), key=lambda path: path.name == last):
            os.replace(path, folder / path.name)


def write_companions(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write config.json and the tokenizer's files, so that the folder needs nothing else.

    A compressed model's configuration is written as its stock family's: the graph carries the real shapes, and
    label names and padding can then be read without leanformer.

    Args:
        model: The model that was exported.
        tokenizer: Its tokenizer.
        folder: Where to write.
    """
    fields = json.loads(model.config.to_json_string())
    if is_lean(model.config):
        family = family_of(model.config)
        fields["model_type"] = family.name
        suffix = "Model" if is_embedder(model) else TASKS[auto_class_of(model, family)]
        fields["architectures"] = [family.prefix + suffix]
        for key in ("per_layer_config", "auto_map"):
            fields.pop(key, None)
    (folder / "config.json").write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
    tokenizer.save_pretrained(folder)
