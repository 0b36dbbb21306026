"""What the pages for people hold: commands, code, links, headings.

A command is a line of an indented block or of a block fenced as `sh`, and a code span of the text
that is one. Every block that is fenced names its language.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHELL, OTHERS = "sh", {"csv", "json", "python", "text", "yaml"}
# A code span that is a command: a program of ours and what it is given. Benchmarks stand alone too.
TYPED = re.compile(
    r"(\w+=\S+ )*(\.venv/bin/)?"
    r"((captioner|snakemake|make|pip|python|uv) .+|(bench|training)_\w+\.py.*)"
)
FENCE = re.compile(r"^ *```(\S*)")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """Code of a page that stands apart from its text."""

    page: str  # relative to the repository
    line: int  # of its first line, from 1
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """What a reader would type."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def pages(repository: Path) -> list[Path]:
    """Find the pages for people: all Markdown that git tracks or would track."""
    found = [*repository.glob("*.md"), *(repository / "docs").glob("*.md")]
    found += [repository / folder / "README.md" for folder in ("benchmarks", "config")]
    return sorted(found)


def split_page(path: Path, repository: Path) -> tuple[list[Block], list[tuple[int, str]]]:
    """Part a page into blocks of code and numbered lines of text."""
    page = str(path.relative_to(repository))
    blocks: list[Block] = []
    text: list[tuple[int, str]] = []
    language, start, held = None, 0, []
    before = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if language == "indented" and not line.startswith("    "):
            blocks.append(Block(page, start, SHELL, "\n".join(held)))
            language = None
        if language not in (None, "indented"):
            if fence:
                blocks.append(Block(page, start, language, "\n".join(held)))
                language = None
            else:
                held.append(line)
        elif fence:
            language, start, held = fence[1] or "none", number + 1, []
        elif language == "indented" or (line.startswith("    ") and not before.strip()):
            if language is None:
                language, start, held = "indented", number, []
            held.append(line[4:])
        else:
            text.append((number, line))
        before = line
    if language == "indented":
        blocks.append(Block(page, start, SHELL, "\n".join(held)))
    return blocks, text


def commands(path: Path, repository: Path) -> Iterator[Command]:
    """Yield the commands of a page in their order."""
    blocks, text = split_page(path, repository)
    found = [Command(block.page, *each) for block in blocks for each in _lines(block)]
    for number, line in text:
        for span in SPAN.findall(line):
            if TYPED.fullmatch(span):
                found.append(Command(str(path.relative_to(repository)), number, span))
    yield from sorted(found, key=lambda command: command.line)


def _lines(block: Block) -> Iterator[tuple[int, str]]:
    """Yield the commands of a block of shell, continued lines joined."""
    if block.language != SHELL:
        return
    start, held = 0, ""
    for number, line in enumerate(block.text.splitlines(), block.line):
        start = start or number
        held += line.strip()
        if held.endswith("\\"):
            held = held[:-1]
            continue
        if held and not held.startswith("#"):
            yield start, held
        start, held = 0, ""


NAMED = re.compile(r"# (\S+\.(?:yaml|py))\b")


def named_file(block: Block) -> str | None:
    """Give the path that the first line of a block states, where the block is a file."""
    named = NAMED.match(block.text)
    return named[1] if named else None


def put_in_place(blocks: list[Block], folder: Path) -> dict[Path, str | None]:
    """Write the files of a page as a reader would: path -> what stood there before.

    A part of a Python module that is there goes into it, behind the line that both begin with.
    """
    before: dict[Path, str | None] = {}
    for block in blocks:
        if (name := named_file(block)) is None:
            continue
        path, text = folder / name, block.text + "\n"
        found = path.read_text(encoding="utf-8") if path.is_file() else None
        before.setdefault(path, found)
        if found is not None and path.suffix == ".py":
            _, first, rest = text.split("\n", 2)
            assert first in found, f"{name} has no line {first!r}"
            text = found.replace(first + "\n", f"{first}\n{rest}", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return before
