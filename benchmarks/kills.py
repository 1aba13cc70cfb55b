"""Does a run survive kill -9? Kills `compress --quick --method ae-bert` at random moments, resumes it, and compares.

    python benchmarks/kills.py --seed 0

The runs export to ONNX alone. A whole run comes first. Then as many fresh runs as --kills says: each is killed, with
its whole process group, at a
moment drawn evenly from the time that the whole run took, looked at, and resumed to its end. Wanted: the same
candidate, the same score and weights, no file that can not be read, no process left. Needs the extra `demo`, or
--model and --data.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from grid import RESULTS, SCRATCH, write_result
from leanformer.cli.exit_codes import MISSED, NO_GAIN
from leanformer.job import Job
from leanformer.tasks.load import DataSpec

FOLDER = SCRATCH / "kills"
MARK = "LEANFORMER_KILLS"  # in the environment of all that a run starts
DEATH_S = 10.0


def main() -> int:
    """Kill, resume, compare; write the JSON; 1 if anything was lost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", help="a model folder; the demo's MiniLM by default")
    parser.add_argument("--data", help="task data; the demo's film reviews by default")
    parser.add_argument("--train-rows", type=int, default=400)
    options = parser.parse_args()
    if (options.model is None) != (options.data is None):
        parser.error("--model and --data go together")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    model, data = (options.model, options.data) if options.model else demo_inputs()
    (FOLDER / "job.toml").write_text(job(model, data, options).to_toml(), encoding="utf-8")
    command = [sys.executable, "-m", "leanformer", "compress", "--job", str(FOLDER / "job.toml")]
    whole = FOLDER / "whole"
    started = time.perf_counter()
    finish([*command, "--out", str(whole)])
    whole_seconds = time.perf_counter() - started
    wanted = outcome(whole)
    print(f"whole run: {whole_seconds:.0f} s", flush=True)
    kills = list(killed_runs(command, whole_seconds, wanted, options.kills, options.seed))
    lost = sum(not kill["fine"] for kill in kills)
    figures = {"whole_seconds": whole_seconds, "outcome": wanted, "kills": kills, "lost": lost}
    again = f"python benchmarks/kills.py --kills {options.kills} --seed {options.seed} --threads {options.threads}"
    if options.model:
        again += f" --model {options.model} --data {options.data}"
    again += f" --train-rows {options.train_rows}"
    write_result(RESULTS / "kills.json", figures, options.seed, options.threads, again)
    return min(1, lost)


def job(model: str, data: str, options: argparse.Namespace) -> Job:
    """Return the job of all runs.

    Its method is not auto, which follows the clock, so that a resumed climb may end elsewhere. Timing writes nothing:
    the fewer seconds of it, the more kills fall elsewhere.
    """
    spec = DataSpec(data, train_rows=options.train_rows)
    named = {"method": "ae-bert", "quick": True, "threads": options.threads, "limit_s": 1.0}
    return Job(model, spec, exports=("onnx",), **named).resolved()


def demo_inputs() -> tuple[str, str]:
    """Return the demo's model, and its film reviews."""
    from leanformer.demo import TASK, model_folder, write_rotten_tomatoes

    write_rotten_tomatoes(FOLDER, quick=True)
    return str(model_folder()), str(FOLDER / TASK)


def killed_runs(
    command: Sequence[str], whole_seconds: float, wanted: dict[str, Any], kills: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yield what came of each killed run; runs that were over before their moment are done again."""
    chooser, done = random.Random(seed), 0
    while done < kills:
        moment, run = chooser.random() * whole_seconds, FOLDER / f"killed-{done}"
        shutil.rmtree(run, ignore_errors=True)
        if not kill_at(moment, [*command, "--out", str(run)]):
            print(f"over before {moment:.1f} s: drawn again", flush=True)
            continue
        facts: dict[str, Any] = {"second": moment, "stage": stage_of(run), "orphans": orphans()}
        facts["unreadable_after_kill"] = unreadable(artefacts(run))
        finish([*command, "--resume", "--out", str(run)])
        found = outcome(run)
        facts["different"] = [name for name in wanted if found[name] != wanted[name]]
        facts["unreadable_after_resume"] = unreadable(path for path in run.rglob("*") if path.is_file())
        facts["left_over"] = sorted(path.name for path in run.glob(".*"))
        facts["orphans"] += orphans()
        troubles = ("orphans", "unreadable_after_kill", "different", "unreadable_after_resume", "left_over")
        facts["fine"] = not any(facts[name] for name in troubles)
        print(
            f"kill {done} at {moment:.1f} s ({facts['stage']}): {'fine' if facts['fine'] else facts}",
            flush=True,
        )
        if facts["fine"]:
            shutil.rmtree(run)
        done += 1
        yield facts


def environment() -> dict[str, str]:
    """Return the environment of a run, with a mark that all its processes inherit."""
    return {**os.environ, MARK: str(os.getpid()), "LEANFORMER_QUIET": "1", "HF_HUB_OFFLINE": "1"}


def finish(command: Sequence[str]) -> None:
    """Let a run come to its end; stop with its words where it does not."""
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode not in (
        0,
        MISSED,
        NO_GAIN,
    ):  # a run that misses its budget, or gains nothing, is whole
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr[-4000:]}")


def kill_at(moment: float, command: Sequence[str]) -> bool:
    """Start a run and kill its process group at a moment; return whether it was still alive."""
    process = subprocess.Popen(
        command,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait() == -signal.SIGKILL
    return False


def orphans() -> list[str]:
    """Return the command lines of processes that a run has left behind, and end them."""
    mark, deadline = f"{MARK}={os.getpid()}".encode(), time.monotonic() + DEATH_S
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.2)  # the system may take a moment to bury them
    for process in left:
        os.kill(process, signal.SIGKILL)
    return list(left.values())


def marked(mark: bytes) -> dict[int, str]:
    """Return the living processes with a mark in their environment, and their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):  # empty for the dead
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # gone, or another user's
            continue
    return found


def stage_of(run: Path) -> str:
    """Return the last stage that a killed run had noted."""
    path = run / "log.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return f"after {json.loads(lines[-1])['stage']}" if lines else "before the first stage was done"


def outcome(run: Path) -> dict[str, Any]:
    """Return what must not depend on kills."""
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    (chosen,) = [candidate["kept"] for candidate in result["search"]["candidates"] if candidate["chosen"]]
    weights = {
        name: hashlib.sha256((run / name / "model.safetensors").read_bytes()).hexdigest()
        for name in ("teacher", "model")
    }
    return {"candidate": chosen, "score": result["compressed"]["score"], **weights}


def artefacts(run: Path) -> Iterator[Path]:
    """Yield the files that a killed run shows under their own names: these have to be whole.

    What is half-written has a name that begins with a dot; log and journal may lack the end of a line, and a
    checkpoint may lack files: a resumed run mends these.
    """
    for path in run.rglob("*"):
        inside = path.relative_to(run).parts
        mended = path.name == "log.jsonl" or inside[0] == "search"
        if path.is_file() and not mended and not inside[0].startswith("."):
            yield path


def unreadable(paths: Iterable[Path]) -> list[str]:
    """Return the files that do not hold what their names promise, with what is wrong."""
    troubles = []
    for path in paths:
        try:
            read(path)
        except Exception as error:  # whatever a reader finds wrong
            troubles.append(f"{path.name}: {error}")
    return troubles


def read(path: Path) -> None:
    """Read a file as a whole, as its name says."""
    if path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".jsonl" or path.name == "journal.log":
        for line in path.read_text(encoding="utf-8").splitlines():
            json.loads(line)
    elif path.suffix == ".toml":
        tomllib.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, "numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118  (it is no dictionary)
                tensors.get_tensor(name)
    elif path.suffix == ".onnx":
        import onnx

        onnx.checker.check_model(str(path))
    elif path.suffix == ".xml":
        from leanformer.export.extras import require

        require("openvino", "openvino")  # first: it keeps OpenVINO from reporting its use
        import openvino

        openvino.Core().read_model(path)


if __name__ == "__main__":
    sys.exit(main())
