"""Captions of windows as subtitles: WebVTT and SubRip (SRT)."""

import html
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from captioner.decoding.caption import CaptionedWindow

SubtitleFormat = Literal["vtt", "srt"]


def subtitles(windows: Sequence[CaptionedWindow], form: SubtitleFormat) -> str:
    """Give the text of a subtitle file of a sound's windows, in order.

    WebVTT (W3C) would allow overlapping cues and SRT has no standard, but players show overlapping
    cues on top of one another; so each moment has the caption of one window, see `cues`. In WebVTT
    `&`, `<` and `>` are escaped, as it asks; SRT knows no escape.
    """
    lines = ["WEBVTT", ""] if form == "vtt" else []
    for number, (start_ms, end_ms, text) in enumerate(cues(windows), start=1):
        if form == "srt":
            lines.append(str(number))
        else:
            text = html.escape(text, quote=False)
        lines += [f"{_time(start_ms, form)} --> {_time(end_ms, form)}", text, ""]
    return "\n".join(lines)


def cues(windows: Sequence[CaptionedWindow]) -> Iterator[tuple[int, int, str]]:
    """Give (start, end, caption) of each cue, in milliseconds; no two overlap.

    Where windows overlap, a moment has the caption of the window whose middle is nearest. Windows
    without a caption have no cue, and no cue is shorter than a millisecond.
    """
    if not windows:
        return
    middles = [(window.start_s + window.end_s) / 2 for window in windows]
    inner = [(before + after) / 2 for before, after in pairwise(middles)]
    edges = [round(1000 * at) for at in (windows[0].start_s, *inner, windows[-1].end_s)]
    for window, (start, end) in zip(windows, pairwise(edges), strict=True):
        if window.caption:
            yield start, max(end, start + 1), window.caption


def _time(at_ms: int, form: SubtitleFormat) -> str:
    """Write hours (two digits or more), minutes, seconds and milliseconds."""
    seconds, ms = divmod(at_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{'.' if form == 'vtt' else ','}{ms:03}"
