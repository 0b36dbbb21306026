"""Start a training in as many processes as there are GPUs for it, and watch them."""

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from captioner.errors import InputError
from captioner.job import write_json
from captioner.training.worker import JOB, error_file, train

LINE = re.compile(r"(?P<level>INFO|WARNING|ERROR|CRITICAL) [\w.]+: ")
FAILURE = re.compile(r"rank\s*:\s*(\d+) .*\n\s*exitcode\s*:\s*(-?\d+)")  # of torchrun's report
ENDED_FOR_OTHERS = (-15, 128 + 15)  # by torchrun's SIGTERM
KEPT_LINES = 200  # of the processes' last words, where that report stands

log = logging.getLogger(__name__)


def launch_training(*, n_processes: int, n_nodes: int = 1, **job: Any) -> None:
    """Call `train_system` in `n_processes` processes per machine.

    `job`: its arguments, but for `sources` and `validation`, mappings as `Source` takes them.

    One on one machine is this process. Several are started by `torchrun`: on this machine, or on
    each of the `n_nodes` of this SLURM job, where the files must be the same. On CPUs `threads`,
    of one machine, are shared out. What the processes log goes to this one's log. Raises what
    `train_system` raises; `InputError` for several nodes outside of SLURM; `RuntimeError` where a
    process died and could not say why.
    """
    if n_processes == n_nodes == 1:
        train(job)
        return
    if n_nodes > 1 and "SLURM_JOB_ID" not in os.environ:
        raise InputError(
            f"found the resource nodes={n_nodes} outside of a SLURM job, expected one machine: "
            "take it away, or run the workflow with --workflow-profile profiles/slurm"
        )
    threads = max(1, job["threads"] // n_processes)
    parent = Path(job["resume_folder"]).resolve().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".processes-") as name:
        folder = Path(name)
        write_json(folder / JOB, _as_json({**job, "threads": threads}))
        start = _torchrun(n_processes, n_nodes, job["threads"], folder)
        command = [*start, "-m", "captioner.training.worker", name]
        source = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        log.info("Training in %d processes on %d machines: %s", n_processes, n_nodes, command)
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**_environment(), "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)},
        ) as processes:
            try:
                last_words = _relay(processes)
            finally:
                processes.terminate()  # torchrun ends its processes; nothing if it has ended
        if processes.returncode:
            raise _failure(folder, last_words, n_processes * n_nodes)


def _environment() -> dict[str, str]:
    """Give the environment without what SLURM says of the step this is: `srun` starts another."""
    kept = {"SLURM_JOB_ID", "SLURM_CONF"}
    return {k: v for k, v in os.environ.items() if not k.startswith("SLURM_") or k in kept}


def _torchrun(n_processes: int, n_nodes: int, threads: int, folder: Path) -> list[str]:
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n_processes)]
    run += ["--log-dir", str(folder / "torchrun")]  # else it leaves folders in the system's own
    if n_nodes == 1:
        return [*run, "--standalone"]
    job = os.environ["SLURM_JOB_ID"]
    port = 20000 + int(job) % 20000  # other jobs on this node have others
    endpoint = f"{os.environ['SLURMD_NODENAME']}:{port}"
    meet = ["--rdzv-backend", "c10d", "--rdzv-id", job, "--rdzv-endpoint", endpoint]
    nodes = str(n_nodes)
    step = ["srun", "--overlap", "--nodes", nodes, "--ntasks", nodes, "--ntasks-per-node", "1"]
    step += ["--cpus-per-task", str(threads)]
    return [*step, *run, "--nnodes", nodes, *meet]


def _relay(processes: subprocess.Popen[str]) -> list[str]:
    """Log what the processes write until they have ended; give the last lines."""
    assert processes.stdout is not None
    last_words: list[str] = []
    for line in processes.stdout:
        text = line.rstrip()
        found = LINE.match(text)
        level: int = getattr(logging, found["level"]) if found else logging.INFO
        log.log(level, "%s", text[found.end() :] if found else text)
        last_words = [*last_words[-KEPT_LINES:], text]
    processes.wait()
    return last_words


def _failure(folder: Path, last_words: list[str], n_processes: int) -> Exception:
    """Say what ended the processes: the first that said why, or one that could not."""
    errors = {rank: folder / error_file(rank) for rank in range(n_processes)}
    said = {rank: path for rank, path in errors.items() if path.is_file()}
    exit_codes = {int(rank): int(code) for rank, code in FAILURE.findall("\n".join(last_words))}
    silent = [rank for rank in exit_codes if rank not in said]
    killed = [rank for rank in silent if exit_codes[rank] not in ENDED_FOR_OTHERS]
    if killed or not said:
        rank = min(killed or silent or [0])
        code = exit_codes.get(rank, "unknown")
        return RuntimeError(
            f"process {rank} of the {n_processes} that train together died with exit code {code}, "
            "and the others were ended (-9: killed, often for want of memory). Start again: the "
            "training continues where it was last saved."
        )
    rank = min(said, key=lambda rank: said[rank].stat().st_mtime_ns)
    error = json.loads(said[rank].read_text(encoding="utf-8"))
    if error["known"]:
        return InputError(error["error"])
    return RuntimeError(f"process {rank} of {n_processes} that train together:\n{error['error']}")


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(each) for each in value]
    return str(value) if isinstance(value, Path) else value
