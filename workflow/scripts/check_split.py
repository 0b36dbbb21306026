"""Check one split against what the corpus declares; errors stop the run."""

from captioner.corpus.checks import SplitTables, check_split, raise_on_errors
from captioner.corpus.expectations import expectations_of
from captioner.job import start_logging, write_json


def main(snakemake):
    start_logging(snakemake.log[0])
    inputs, params, split = snakemake.input, snakemake.params, snakemake.wildcards.split
    tables = SplitTables.read(inputs.clips, inputs.annotations)
    files = zip(params.others, inputs.other_clips, inputs.other_annotations, strict=True)
    others = {name: SplitTables.read(clips, text) for name, clips, text in files}
    captioned = any(annotation.captions for annotation in tables.annotations)
    expected = expectations_of(params.settings, split, captioned)
    report = check_split(split, tables, others, expected)
    raise_on_errors(report)
    write_json(snakemake.output.checks, report)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
