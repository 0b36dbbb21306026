"""Captions of windows as lines: text for people, CSV for tables and metrics, JSON for programs."""

import csv
import json
import os
from typing import Any, Literal, TextIO

from captioner.decoding.caption import CaptionedWindow

RowFormat = Literal["text", "csv", "jsonl"]


class RowWriter:
    """Write windows as they come.

    Text is FILE, START and END where sounds are cut, SCORE where several captions are asked for,
    and CAPTION, with tabs between. CSV (RFC 4180) has a header: `file_name,caption_predicted` alone
    is what the workflow writes and `captioner score` reads; `start_s`, `end_s` and `rank`, `score`
    come in where needed. A line of JSON always holds all of it.
    """

    def __init__(self, stream: TextIO, form: RowFormat, *, cut: bool, n_best: int):
        """Write the header, if there is one."""
        self._stream, self._form, self._cut, self._n_best = stream, form, cut, n_best
        self._table = csv.writer(stream)
        if form == "csv":
            columns = ["file_name"]
            columns += ["start_s", "end_s"] if cut else []
            columns += ["rank", "score"] if n_best > 1 else []
            self._table.writerow([*columns, "caption_predicted"])

    def write(self, window: CaptionedWindow) -> None:
        """Write one window, and all its captions."""
        if self._form == "jsonl":
            json.dump(as_json(window), self._stream, ensure_ascii=False)
            self._stream.write("\n")
        elif self._form == "csv":
            for rank, score, caption in self._captions(window):
                times = [f"{window.start_s:.3f}", f"{window.end_s:.3f}"] if self._cut else []
                scores: list[float | None] = [rank, score] if self._n_best > 1 else []
                self._table.writerow([readable(window.sound), *times, *scores, caption])
        else:
            for _, score, caption in self._captions(window):
                times = [f"{window.start_s:.2f}", f"{window.end_s:.2f}"] if self._cut else []
                shown = [f"{score:.4f}" if score is not None else ""] if self._n_best > 1 else []
                print(one_line(window.sound), *times, *shown, caption, sep="\t", file=self._stream)
        self._stream.flush()

    def _captions(self, window: CaptionedWindow) -> list[tuple[int, float | None, str]]:
        """Give rank (0 is the best), score and caption; one without score where there is none."""
        found: list[tuple[int, float | None, str]] = [
            (rank, each.score, each.caption) for rank, each in enumerate(window.n_best)
        ]
        return found or [(0, None, "")]


def as_json(window: CaptionedWindow) -> dict[str, Any]:
    """Give what a line of JSON holds."""
    return {
        "file_name": readable(window.sound),
        "start_s": round(window.start_s, 6),
        "end_s": round(window.end_s, 6),
        "caption": window.caption,
        "n_best": [{"caption": each.caption, "score": each.score} for each in window.n_best],
    }


def readable(name: str) -> str:
    """Write bytes of a file name that are no UTF-8 as Python does, `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def one_line(text: str) -> str:
    """Escape control characters too, like Python's repr."""
    return "".join(repr(c)[1:-1] if c < " " or "\x7f" <= c <= "\x9f" else c for c in readable(text))
