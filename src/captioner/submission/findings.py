"""What a check of a package finds: each thing with its file and line."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Level = Literal["error", "warning"]

N_SHOWN = 10  # clips that one finding names


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong with a package, or that its authors should look at."""

    level: Level
    file: str  # in the package; "" of the package itself
    line: int  # from 1; 0 of the whole file
    code: str  # what kind of thing, one word for each kind
    message: str  # found, expected, what to do

    def __str__(self) -> str:
        where = ":".join(filter(None, [self.file, str(self.line) if self.line else ""]))
        return _on_one_line(f"{where or 'the package'}: {self.message} [{self.code}]")


@dataclass
class Findings:
    """Gathers findings, and what could not be looked at."""

    found: list[Finding] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)

    def error(self, file: str, line: int, code: str, message: str) -> None:
        """Note what the challenge cannot take or its rules forbid."""
        self.found.append(Finding("error", file, line, code, message))

    def warning(self, file: str, line: int, code: str, message: str) -> None:
        """Note what the challenge takes, but should be looked at."""
        self.found.append(Finding("warning", file, line, code, message))

    def skipped(self, what: str) -> None:
        """Note what was not checked, and what it would need."""
        if what not in self.not_checked:
            self.not_checked.append(what)

    @property
    def errors(self) -> list[Finding]:
        """The errors, by file and line."""
        return sorted({finding for finding in self.found if finding.level == "error"})

    @property
    def warnings(self) -> list[Finding]:
        """The warnings, by file and line."""
        return sorted({finding for finding in self.found if finding.level == "warning"})

    def told(self) -> str:
        """Give all of it as text: errors, warnings, what was not checked, and how many."""
        parts = [
            ("Errors", map(str, self.errors)),
            ("Warnings", map(str, self.warnings)),
            ("Not checked", self.not_checked),
        ]
        blocks = [
            "\n".join([f"{title}:", *(f"  {line}" for line in lines)])
            for title, rows in parts
            if (lines := list(rows))
        ]
        counts = f"{_number(self.errors, 'error')}, {_number(self.warnings, 'warning')}"
        return "\n".join([*blocks, counts])


def shortened(names: Iterable[str]) -> str:
    """Name the first of many."""
    listed = list(names)
    more = f" and {len(listed) - N_SHOWN} more" if len(listed) > N_SHOWN else ""
    return ", ".join(map(repr, listed[:N_SHOWN])) + more


def _on_one_line(text: str) -> str:
    """Escape what would move a terminal's cursor or break the line: names come from strangers."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _number(findings: list[Finding], word: str) -> str:
    return f"{len(findings)} {word}{'' if len(findings) == 1 else 's'}"
