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
        scored_outputs(),
        report_page(),
        submission_outputs(),


rule features:
    input:
        feature_shards(),


rule train:
    input:
        trained_models(),


rule decode:
    input:
        decoded_captions(),


rule evaluate:
    input:
        scored_outputs(),


rule report:
    input:
        report_page(),


rule submission:
    input:
        submission_outputs(),
