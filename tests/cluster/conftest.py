"""A throwaway SLURM for the tests of this folder, and projects to run on it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from cluster_runs import ONE_SYSTEM
from local_slurm import LocalSlurm, StartError, missing_programs

from tiny import Project, make_project


def local_slurm(**settings: object) -> Iterator[LocalSlurm]:
    """Start a cluster, or skip the test and say why; stop it at the end."""
    if missing := missing_programs(accounting=bool(settings.get("accounting"))):
        pytest.skip(f"SLURM is not installed here (no {', '.join(missing)}): see .ci/run")
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    cluster = LocalSlurm(folder / "s", **settings)
    try:
        try:
            cluster.start()
        except StartError as error:
            pytest.skip(f"SLURM does not start here: {error}")
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalSlurm]:
    """Two nodes, no accounting."""
    yield from local_slurm(n_nodes=2)


@pytest.fixture(scope="session")
def accounting_cluster() -> Iterator[LocalSlurm]:
    """A node, with accounting."""
    yield from local_slurm(accounting=True)


@pytest.fixture
def new_project(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Project]:
    """Make a project that trains one tiny system, in a folder of its own."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # start-up is most of a job's time

    def make(name: str, **config: object) -> Project:
        project = make_project(repository, tmp_path / name)
        project.configure({**deepcopy(ONE_SYSTEM), **config})
        return project

    return make
