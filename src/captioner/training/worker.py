"""One of the processes of a training: `torchrun ... -m captioner.training.worker FOLDER`.

`captioner.training.launch` writes the folder, starts the processes and reads what ended them.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from captioner.errors import InputError
from captioner.job import exit_on_sigterm, write_json
from captioner.training.sources import Source
from captioner.training.train import train_system

JOB = "job.json"  # the arguments of `train_system`


def main(folder: Path) -> None:
    """Train as the folder's job says; leave there why this process ended, if it is an error."""
    exit_on_sigterm()
    rank = int(os.environ["RANK"])
    logging.basicConfig(
        level=logging.ERROR if rank else logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    logging.captureWarnings(True)
    try:
        train(json.loads((folder / JOB).read_text(encoding="utf-8")))
    except Exception as error:
        known = isinstance(error, InputError)
        text = str(error) if known else traceback.format_exc()
        write_json(folder / error_file(rank), {"known": known, "error": text})
        sys.exit(1)


def train(job: Mapping[str, Any]) -> None:
    """Call `train_system` with the arguments `job`, of which the sources are mappings."""
    sources = [Source.from_dict(source) for source in job["sources"]]
    validation = job["validation"] and Source.from_dict(job["validation"])
    train_system(**{**job, "sources": sources, "validation": validation})


def error_file(rank: int) -> str:
    """Name the file in the job's folder that says which error ended a process."""
    return f"error.{rank}.json"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
