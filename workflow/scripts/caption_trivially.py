"""Caption the clips of a split without a trained system."""

from captioner.corpus.tables import read_clips, read_usable_annotations
from captioner.decoding.captions import write_plain_captions
from captioner.decoding.trivial import nearest_clip, typical_caption
from captioner.job import start_logging
from captioner.store.shards import FeatureStore


def main(snakemake):
    start_logging(snakemake.log[0])
    inputs = snakemake.input
    annotations = list(read_usable_annotations(inputs.annotations, inputs.development_clips))
    file_names = [clip.file_name for clip in read_clips(snakemake.input.clips)]
    if snakemake.params.trivial == "typical_caption":
        captions = dict.fromkeys(file_names, typical_caption(annotations))
    else:
        captions = nearest_clip(
            FeatureStore(snakemake.input.development),
            annotations,
            FeatureStore(snakemake.input.features),
            file_names,
        )
    write_plain_captions(snakemake.output.captions, snakemake.output.n_best, captions)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
