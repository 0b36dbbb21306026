"""Check one split against what the corpus declares; errors stop the run."""

from captioner.corpus.checks import check_split, expectations_of, raise_on_errors
from captioner.corpus.tables import read_annotations, read_clips
from captioner.job import start_logging, write_json


def main(snakemake):
    start_logging(snakemake.log[0])
    split = snakemake.wildcards.split
    annotations = read_annotations(snakemake.input.annotations)
    paths = [*snakemake.input.earlier, *snakemake.input.later]
    others = {
        name: read_annotations(path)
        for name, path in zip(snakemake.params.others, paths, strict=True)
    }
    captioned = any(clip.captions for clip in annotations)
    expected = expectations_of(snakemake.params.settings, split, captioned)
    report = check_split(split, read_clips(snakemake.input.clips), annotations, others, expected)
    raise_on_errors(report)
    write_json(snakemake.output.checks, report)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
