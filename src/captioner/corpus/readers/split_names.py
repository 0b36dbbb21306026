"""Read which clips of a published development split belong to which split of ours.

Some published corpora have no validation split. A job holds clips out of development and writes
a CSV with the columns `file_name` and `split`; readers of either split then get the files of
development and this CSV as `files["split"]`.
"""

from collections.abc import Collection, Mapping
from typing import Any

from captioner.corpus.readers.captions import read_captions_csv
from captioner.errors import InputError


def names_of_split(
    split: str, files: Mapping[str, Any], known: Collection[str] | None = None
) -> set[str] | None:
    """Give the file names of a split by `files["split"]`; None where all clips belong to it.

    Raises `InputError` if it has none, or one that is not among those `known`.
    """
    if "split" not in files:
        return None
    rows = read_captions_csv(files["split"], 0, split_column=True)
    names = {row.file_name for row in rows if row.split == split}
    strangers = [] if known is None else sorted(names.difference(known))
    if strangers or not names:
        raise InputError(
            f"{files['split']}: found {len(names)} clips of {split}, "
            f"{len(strangers)} of them without captions{_listed(strangers)}; expected clips of "
            "the captions it was made of: delete it and rerun"
        )
    return names


def _listed(names: list[str]) -> str:
    return f" ({', '.join(map(repr, names[:10]))})" if names else ""
