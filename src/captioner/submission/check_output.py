"""Check the system output: `file_name,caption_predicted`, every test clip once."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from captioner.corpus.tables import read_clips
from captioner.decoding.captions import COLUMNS
from captioner.errors import InputError
from captioner.submission.findings import Findings, shortened
from captioner.text.normalisation import tokenize

BOM = b"\xef\xbb\xbf"
AUDIO = {".wav", ".flac", ".ogg", ".mp3"}


def read_test_clips(path: str | Path) -> list[str]:
    """Give the names of the clips that must have a caption.

    `path` is the clips table of a run (.parquet), a CSV with a column `file_name` (commas or, as
    in Clotho's own metadata of the test split, semicolons), or a folder of audio. Raises
    `InputError` where no names are found.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file, expected the list of the test clips")
    if path.is_dir():
        names = sorted(found.name for found in path.iterdir() if found.suffix.lower() in AUDIO)
    elif path.suffix == ".parquet":
        names = [clip.file_name for clip in read_clips(path)]
    else:
        names = _names_in_csv(path)
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise InputError(
            f"{path}: found the clips {shortened(twice)} more than once, expected each once. Give "
            "the list of the test split alone."
        )
    if not names:
        raise InputError(
            f"{path}: found no clips, expected a folder of audio, a CSV with a column `file_name` "
            "or a clips table (.parquet)"
        )
    return names


def check_output(
    file: str,
    content: bytes,
    clips: Sequence[str] | None,
    findings: Findings,
    *,
    allow_empty: bool,
) -> None:
    """Check one output CSV; `clips` are those of the test split in order, None if not known."""
    if content.startswith(BOM):
        findings.error(
            file, 1, "bom", "found a byte order mark, which would become part of the first "
            "column's name: save as UTF-8 without it",
        )  # fmt: skip
        content = content.removeprefix(BOM)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = content[error.start]
        findings.error(
            file, line, "encoding", f"found byte 0x{byte:02x}, expected UTF-8: save it so"
        )
        return
    _check_line_ends(file, text, findings)
    rows = _rows(file, text, findings)
    if rows is None:
        return
    if not rows:
        findings.error(file, 0, "empty", "found no captions, expected one of every test clip")
        return
    captions: dict[str, int] = {}  # file name -> line
    for line, cells in rows:
        if len(cells) != len(COLUMNS):
            findings.error(
                file, line, "cells", f"found {len(cells)} cells, expected {len(COLUMNS)}: a file "
                "name or caption with a comma needs quotes around it",
            )  # fmt: skip
            captions.setdefault(cells[0], line)
            continue
        name, caption = cells
        if name in captions:
            findings.error(
                file, line, "twice", f"{name!r} stands in line {captions[name]} too, expected once"
            )
            continue
        captions[name] = line
        _check_caption(file, line, name, caption, findings, allow_empty)
    if clips is not None:
        _check_clips(file, captions, clips, findings)


def _check_line_ends(file: str, text: str, findings: Findings) -> None:
    n_crlf = text.count("\r\n")
    if text.count("\r") > n_crlf:
        line = text[: text.replace("\r\n", "  ").index("\r")].count("\n") + 1
        findings.error(
            file, line, "line-ends", "found a carriage return alone, expected lines that end in LF "
            "or CRLF",
        )  # fmt: skip
    elif 0 < n_crlf < text.count("\n"):
        findings.warning(
            file, 0, "line-ends", f"{n_crlf} lines end in CRLF, the others in LF: save it again"
        )


def _rows(file: str, text: str, findings: Findings) -> list[tuple[int, list[str]]] | None:
    """Give the rows below the header with their lines; None where it is no such table."""
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, line = [], 2
    try:
        header = next(table, [])
        if header != COLUMNS:
            told = f"found {','.join(header)!r}, expected {','.join(COLUMNS)!r} with a comma"
            findings.error(file, 1, "columns", told)
            return None
        for cells in table:
            if cells:
                rows.append((line, cells))
            line = table.line_num + 1
    except csv.Error as error:
        findings.error(file, line, "csv", f"not a CSV: {error}. Write it again")
        return None
    return rows


def _check_caption(
    file: str, line: int, name: str, caption: str, findings: Findings, allow_empty: bool
) -> None:
    if not caption.strip():
        note = findings.warning if allow_empty else findings.error
        note(file, line, "empty", f"no caption of {name!r}: every metric gives it 0")
        return
    if caption != caption.lower():
        findings.warning(
            file, line, "upper-case", f"{caption!r} is judged in lower case: write it so"
        )
    words = tokenize(caption, "task")
    if words != caption.lower().split():
        findings.warning(
            file, line, "punctuation", f"{caption!r} is judged without punctuation: take it out"
        )
    if caption != " ".join(caption.split()) or not caption.isprintable():
        findings.warning(
            file, line, "spaces", f"{caption!r}: expected single spaces between words, no others, "
            "and nothing invisible",
        )  # fmt: skip


def _check_clips(
    file: str, captions: dict[str, int], clips: Sequence[str], findings: Findings
) -> None:
    wanted = set(clips)
    if missing := [name for name in clips if name not in captions]:
        findings.error(
            file, 0, "missing", f"no caption for {len(missing)} of {len(clips)} test clips: "
            f"{shortened(missing)}",
        )  # fmt: skip
    for name, line in captions.items():
        if name not in wanted:
            findings.error(file, line, "extra", f"{name!r} is no test clip: take the row out")
    order = [name for name in captions if name in wanted]
    expected = [name for name in clips if name in captions]
    if order not in (expected, sorted(expected)):
        place = next(
            i for i, pair in enumerate(zip(order, expected, strict=True)) if len({*pair}) > 1
        )
        findings.warning(
            file, captions[order[place]], "order", f"found {order[place]!r} where the test clips "
            f"have {expected[place]!r}: make sure that each caption is its own clip's",
        )  # fmt: skip


def _names_in_csv(path: Path) -> list[str]:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # as Clotho's metadata
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names = [row["file_name"] for row in rows]
    except KeyError:
        raise InputError(
            f"{path}: found the columns {', '.join(rows.fieldnames or [])!r}, expected one that is "
            "named file_name"
        ) from None
    except csv.Error as error:
        raise InputError(
            f"{path}: found no CSV that can be read ({error}), expected a column named file_name"
        ) from None
    if not all(names):
        raise InputError(
            f"{path}: found rows without a file_name, expected one in each. Complete the list."
        )
    return names
