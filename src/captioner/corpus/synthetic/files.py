"""Names of the files that the synthetic corpus is published as; nothing heavy is imported."""

from collections.abc import Iterable

CORPUS = "synthetic"
REGISTRY = f"{CORPUS}.tsv"


def published_files(splits: Iterable[str]) -> dict[tuple[str, str], str]:
    """Give the file of each (split, kind), in Clotho's pattern; the test split has no captions."""
    files = {}
    for split in splits:
        files[split, "audio_archive"] = f"{CORPUS}_audio_{split}.7z"
        if split != "test":
            files[split, "captions"] = f"{CORPUS}_captions_{split}.csv"
        files[split, "metadata"] = f"{CORPUS}_metadata_{split}.csv"
    return files
