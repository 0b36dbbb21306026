"""Runs of Snakemake on a throwaway SLURM."""

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from local_slurm import LocalSlurm

from tiny import CONFIG, Project

TIMEOUT_S = 600
ONE_SYSTEM = {**CONFIG, "systems": CONFIG["systems"][:1]}


class Job(NamedTuple):
    """A job that SLURM has seen."""

    number: str
    what: str  # rule_NAME_wildcards_..., or the rules of a group
    state: str
    memory: str


@dataclass
class ClusterRun:
    """A run of Snakemake that submits to a cluster; its log grows in a file."""

    cluster: LocalSlurm
    project: Project
    arguments: list[str] = field(default_factory=list)
    path: str | None = None  # where programs are looked for, if not where the cluster's are first

    def __post_init__(self) -> None:
        self._log = self.project.folder / "run.log"
        profile = ["--workflow-profile", str(self.project.clone / "profiles/slurm")]
        environment = {**self.cluster.environment, "OMP_NUM_THREADS": "1"}
        if self.path is not None:
            environment["PATH"] = self.path
        polling = ["--slurm-init-seconds-before-status-checks", "2"]
        with self._log.open("w") as output:
            snakemake = self.project.command(*self.arguments, *profile, *polling)
            self.process = subprocess.Popen(
                # Of a shell's job in the background it would inherit that SIGINT is ignored.
                ["env", "--default-signal=INT", *snakemake],
                cwd=self.project.folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        """What Snakemake has said so far."""
        return self._log.read_text(encoding="utf-8")

    def wait_for(self, is_there: Callable[[], object]) -> None:
        """Wait until something is the case, which must be before the run ends."""
        end = time.monotonic() + TIMEOUT_S
        while not is_there():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                pytest.fail(f"not seen in this run:\n{self.log[-6000:]}")
            time.sleep(0.3)

    def finish(self) -> int:
        """Wait for the end; give the exit code."""
        try:
            return self.process.wait(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"this run does not end:\n{self.log[-6000:]}")

    def sleep(self, seconds: float) -> None:
        """Let the run go on for a while; it must not end."""
        with pytest.raises(subprocess.TimeoutExpired):
            self.process.wait(timeout=seconds)

    def started(self, rule: str) -> list[str]:
        """Give the numbers of a rule's jobs that have begun on their nodes: SLURM may go away."""
        steps = self.cluster.run("squeue", "-h", "--steps", "-o", "%i").split()
        return [number for number in self.running(rule) if f"{number}.0" in steps]

    def running(self, rule: str) -> list[str]:
        """Give the numbers of a rule's jobs that are running now."""
        return [job.number for job in self.jobs() if job.state == "RUNNING" and rule in job.what]

    def jobs(self) -> list[Job]:
        """Give all jobs that this run has submitted, in order."""
        if not (name := re.search("SLURM run ID: (.+)", self.log)):
            return []
        columns = ["-S", "i", "-o", "%i %k %T %m"]
        lines = self.cluster.run("squeue", "-h", "-t", "all", "--name", name[1], *columns)
        return [Job(*line.split()) for line in lines.splitlines()]
