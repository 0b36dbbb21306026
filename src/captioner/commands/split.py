"""`captioner split`: development, validation and evaluation of the user's own captions."""

import argparse
from pathlib import Path

from captioner.commands.arguments import Commands, spare_inputs


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "split",
        help="split a corpus of captions into development, validation and evaluation",
        description="Shares out every word in proportion, as in Clotho: each is in development, "
        "and in another split too if several clips have it. Prints how near it came, beside a "
        "random split. The same clips and seed always give the same split.",
        epilog="Example: captioner split captions.csv --out captions_split.csv --plot words.png",
    )
    parser.add_argument(
        "captions", type=Path, metavar="CAPTIONS.csv", help="file_name,caption_1,...,caption_N"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="OUT.csv",
        help="the same rows with a column split, as a corpus of kind `folder` reads them",
    )
    for split in ("validation", "evaluation"):
        parser.add_argument(
            f"--{split}",
            type=float,
            default=0.15,
            metavar="SHARE",
            help=f"share of the clips for {split}; 0 for none (default: %(default)s)",
        )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="another gives another split (default: 0)"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE.png",
        help="draw the share of each word that each split has (PNG, SVG or PDF)",
    )
    parser.set_defaults(run=_split)


def _split(arguments: argparse.Namespace) -> int:
    from captioner.corpus.readers.captions import read_captions_csv
    from captioner.corpus.splits import shares_of
    from captioner.corpus.splitting.hold_out import split_and_report, write_captions_csv
    from captioner.corpus.splitting.report import describe_split, draw_split

    spare_inputs(arguments.out, [arguments.captions])
    rows = read_captions_csv(arguments.captions, None)
    shares = shares_of({"validation": arguments.validation, "evaluation": arguments.evaluation})
    captions = {row.file_name: row.captions for row in rows}
    parted, report, at_random = split_and_report(captions, shares, arguments.seed)
    if arguments.plot:
        draw_split(report, arguments.plot)
    write_captions_csv(arguments.out, rows, parted)
    print(describe_split(report, at_random))
    return 0
