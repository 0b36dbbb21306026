"""`captioner check-submission`: whether the challenge can take a package, ours or not."""

import argparse
from pathlib import Path

from captioner.commands.arguments import SOME_FAILED, Commands
from captioner.errors import InputError


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "check-submission",
        help="check the zip of a DCASE 2021 Task 6 submission, whoever made it",
        description="Checks names, output CSVs, metadata, reports and the task's rules. Prints "
        "errors, warnings and what could not be checked, each with file and line. The zip is read "
        "in memory, nothing is unpacked. Exit code: 0 without errors, 1 with errors, 2 if there is "
        "no such zip.",
        epilog="Example: captioner check-submission "
        "results/clotho-v2.1/submission/author_institute_task6_submission.zip --clips "
        "clotho_metadata_test.csv --scores 1=scores.json",
    )
    parser.add_argument("package", type=Path, metavar="FILE.zip", help="the package")
    parser.add_argument(
        "--clips",
        type=Path,
        metavar="PATH",
        help="the test clips: a folder of audio, a CSV with a column file_name, or a clips table "
        "(results/CORPUS/clips/test.parquet)",
    )
    parser.add_argument(
        "--scores",
        action="append",
        default=[],
        type=_numbered,
        metavar="[INDEX=]FILE.json",
        help="scores of a system on development-testing, which its metadata must tell to within "
        "0.0005: the workflow's, or those of captioner score --out (without INDEX, of system 1)",
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        type=_numbered,
        metavar="[INDEX=]DIR",
        help="a model folder of a system, which tells what it learned from (several of an "
        "ensemble; without INDEX, of system 1)",
    )
    parser.add_argument(
        "--corpus",
        metavar="NAME",
        help="the challenge's corpus, as the models name it (default: any version of Clotho)",
    )
    parser.add_argument(
        "--allow-empty", action="store_true", help="empty captions are warnings, not errors"
    )
    parser.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    from captioner.submission.check import Known, check_package

    models: dict[int, list[Path]] = {}
    for index, folder in arguments.model:
        models.setdefault(index, []).append(folder)
    scores = dict(arguments.scores)
    if len(scores) < len(arguments.scores):
        raise InputError("--scores: found two files for one system, expected INDEX=FILE for each")
    known = Known.read(
        arguments.clips, scores, models, arguments.corpus, allow_empty=arguments.allow_empty
    )
    findings = check_package(arguments.package, known)
    print(f"{arguments.package}\n{findings.told()}")
    return SOME_FAILED if findings.errors else 0


def _numbered(text: str) -> tuple[int, Path]:
    """Parse INDEX=PATH; without an index, it is system 1's."""
    index, equals, path = text.partition("=")
    if equals and index in ("1", "2", "3", "4"):
        return int(index), Path(path)
    return 1, Path(text)
