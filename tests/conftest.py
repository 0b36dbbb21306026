"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest

from tiny import Project, make_project

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny matrices: threads would wait for each other

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real inputs (official Clotho captions, seven clips), where they stand beside the checkout."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real inputs (../shared/data) are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def project(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone and a working folder with a config and a corpus; nothing has run."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # start-up is most of a tiny job's time
    return make_project(repository, tmp_path_factory.mktemp("a user's folder"))


@pytest.fixture(scope="session")
def finished(project: Project) -> Project:
    """The project after a whole run; tests share it and put back what they change."""
    project.snakemake()
    return project
