# aac-workflow: from the published archives to a scored captioning system. Start with README.md.
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


configfile: str(Path(workflow.basedir) / "config/config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/frozen.smk"
include: RULES / "common.smk"
include: RULES / "slurm.smk"
include: RULES / "synthetic.smk"
include: RULES / "download.smk"
include: RULES / "corpus.smk"
include: RULES / "features.smk"
include: RULES / "vocabulary.smk"
include: RULES / "training.smk"
include: RULES / "published.smk"
include: RULES / "decoding.smk"
include: RULES / "evaluation.smk"
include: RULES / "reporting.smk"
include: RULES / "submission.smk"


rule all:
    default_target: True
    input:
        RESULTS.scores(),
        RESULTS.report(),
        SUBMISSION.package(),


rule features:
    input:
        RESULTS.features(),


rule train:
    input:
        RESULTS.models(),


rule decode:
    input:
        RESULTS.captions(),


rule evaluate:
    input:
        RESULTS.scores(),


rule report:
    input:
        RESULTS.report(),


rule submission:
    input:
        SUBMISSION.package(),
