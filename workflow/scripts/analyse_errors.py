"""Compare the content words of all systems' captions with the references'."""

import tempfile
from functools import partial
from pathlib import Path

from captioner.evaluation.error_analysis import analyse_runs
from captioner.evaluation.parts_of_speech import tag_captions
from captioner.evaluation.references import read_split_references
from captioner.evaluation.tables import read_predictions
from captioner.job import start_logging, write_json


def main(snakemake):
    start_logging(snakemake.log[0])
    inputs = snakemake.input
    runs = dict(zip(snakemake.params.runs, inputs.captions, strict=True))
    with tempfile.TemporaryDirectory(prefix="captioner-errors-") as scratch:
        java_folder = Path(inputs.jars[0]).parent
        found = analyse_runs(
            {name: read_predictions(path) for name, path in runs.items()},
            read_split_references(inputs.annotations, inputs.clips),
            partial(tag_captions, scratch=Path(scratch), java_folder=java_folder),
        )
    write_json(snakemake.output.errors, found)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
