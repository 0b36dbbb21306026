# aac-workflow: from the published archives to a scored captioning system. Start with README.md.
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


configfile: str(Path(workflow.basedir) / "config/config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/synthetic.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/vocabulary.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/published.smk"
include: "workflow/rules/decoding.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/reporting.smk"
include: "workflow/rules/submission.smk"


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
