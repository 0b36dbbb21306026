"""A clone of the project, and a finished run of it; both are shared by all tests of the session."""

import os
from pathlib import Path

import pytest
from tiny import Project, make_project


@pytest.fixture(scope="session")
def project(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone and a working folder with a config and a corpus; nothing has run."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # start-up is most of a tiny job's time
    return make_project(repository, tmp_path_factory.mktemp("a user's folder"))


@pytest.fixture(scope="session")
def finished(project: Project) -> Project:
    """The project after a whole run."""
    project.snakemake()
    return project
