"""Copies of shards on a disk of this machine, for those who read them many times."""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from captioner.errors import InputError
from captioner.job import atomic_path

log = logging.getLogger(__name__)


def stage(paths: Iterable[str | Path], scratch: str) -> list[Path]:
    """Copy files into the folder `scratch`, once for all processes of a machine; give the copies.

    `scratch` may hold environment variables (`$TMPDIR`). A copy is named by the file's path, size
    and date, so several jobs share it and a new file is copied anew. Where the disk is full, the
    rest is read where it is, and the log says so. The copies stay: the folder of a job's own is
    removed by the cluster.

    Raises:
        InputError: a variable that this machine does not have.
    """
    folder = os.path.expandvars(scratch)
    if "$" in folder:
        raise InputError(
            f"scratch: found {scratch!r}, expected variables that are set on {os.uname().nodename}"
        )
    return [_stage(Path(path), Path(folder, "captioner")) for path in paths]


def _stage(path: Path, folder: Path) -> Path:
    found = path.stat()
    name = f"{path.resolve()} {found.st_size} {found.st_mtime_ns}"
    copy = folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}{path.suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(copy.with_suffix(".lock")):
            if not copy.is_file():
                with atomic_path(copy) as temporary:
                    shutil.copyfile(path, temporary)
    except OSError as error:
        log.warning("%s is not copied to %s, and read where it is: %s", path, folder, error)
        return path
    return copy
