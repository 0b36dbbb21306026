"""The challenge's output file: one predicted caption for every test clip."""

import logging
from collections.abc import Iterable
from pathlib import Path

from captioner.decoding.captions import write_table
from captioner.errors import InputError
from captioner.evaluation.tables import read_predictions
from captioner.text.normalisation import tokenize

log = logging.getLogger(__name__)


def write_output(
    captions_path: str | Path, file_names: Iterable[str], output_path: str | Path
) -> None:
    """Write the captions of `file_names`, in their order, as `file_name,caption_predicted`.

    Captions are written in lower case without punctuation (the text rule `task`), as the challenge
    evaluates them. A clip that is missing, extra or repeated raises an `InputError` that names it;
    an empty caption is written with a warning.
    """
    captions = read_predictions(captions_path)
    output: dict[str, str] = {}
    for file_name in file_names:
        if file_name in output:
            raise InputError(
                f"test clips: found {file_name!r} twice, expected every clip once. "
                "Remove one of the two files."
            )
        if file_name not in captions:
            raise InputError(
                f"{captions_path}: found no caption for the test clip {file_name!r}, expected one "
                "for every clip. Decode the test split again."
            )
        output[file_name] = " ".join(tokenize(captions[file_name], "task"))
    for file_name in captions:
        if file_name not in output:
            raise InputError(
                f"{captions_path}: found a caption for {file_name!r}, which is no test clip, "
                f"expected exactly the {len(output)} test clips. Decode the test split again."
            )
    empty = [file_name for file_name, caption in output.items() if not caption]
    if empty:
        log.warning("%s: %d empty captions, the first for %r", output_path, len(empty), empty[0])
    write_table(output_path, output)
