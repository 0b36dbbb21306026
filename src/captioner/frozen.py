"""A run's own copy of the project: what was decided at its start holds for all its jobs.

Jobs on other machines read the rules, the code and the config anew, days after the start; without
a copy, an edit made meanwhile would change what they do and which finished files they make again.
"""

import hashlib
import pickle
import shutil
from pathlib import Path
from typing import Any

from captioner.errors import InputError
from captioner.job import atomic_path, write_text

PARTS = ("src", "workflow", "envs")  # what jobs read of a checkout
POINTER = "current"  # the file that names the copy of the run that started last
DECIDED = "decided.pickle"


def fingerprint(root: Path) -> str:
    """Return a hex digest of the names and contents of the files that jobs read of a checkout."""
    digest = hashlib.sha256()
    for part in PARTS:
        for path in sorted((root / part).rglob("*")):
            if "__pycache__" not in path.parts and path.is_file():
                digest.update(f"{path.relative_to(root)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def freeze(root: Path, folder: Path, code: str, decided: Any) -> Path:
    """Copy what jobs read of the checkout `root` into `folder`, with `decided`; return the copy.

    The copy is named by its content, so an earlier run's jobs keep theirs. Compiled bytecode goes
    along and stays valid, for times of files are kept.

    Raises:
        InputError: the checkout is not the one that had the fingerprint `code`.
    """
    if fingerprint(root) != code:
        raise InputError(
            f"{root} was edited while the graph of jobs was built, so what is recorded of the jobs "
            "would not be what they run: start again"
        )
    content = pickle.dumps(decided)
    copy = folder / f"{code}-{hashlib.sha256(content).hexdigest()[:16]}"
    if not copy.is_dir():
        with atomic_path(copy) as temporary:
            for part in PARTS:
                # Bytecode that another process is writing, for a moment, and Emacs's mark of a file
                # that is being edited, a link to nowhere.
                passing = shutil.ignore_patterns("*.pyc.*", ".#*")
                shutil.copytree(root / part, temporary / part, ignore=passing)
            (temporary / DECIDED).write_bytes(content)
    write_text(folder / POINTER, copy.name)
    return copy.resolve()


def decided(copy: Path) -> Any:
    """Return what `freeze` was given."""
    return pickle.loads((copy / DECIDED).read_bytes())
