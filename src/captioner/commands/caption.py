"""`captioner caption`: captions of any sound by a trained system."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from captioner.commands.arguments import (
    SOME_FAILED,
    Commands,
    add_models,
    positive,
    spare_inputs,
)
from captioner.errors import InputError

if TYPE_CHECKING:
    from captioner.decoding.caption import CaptionedWindow
    from captioner.decoding.subtitles import SubtitleFormat

FORMATS = ("text", "csv", "jsonl", "vtt", "srt")
SUBTITLES = ("vtt", "srt")
# Options of `DecodingOptions` by their names there.
DECODING = (
    ("beam_size", positive, "N", "hypotheses kept; 1 is greedy (default: 3, or N of --n-best)"),
    ("min_length", int, "N", "words of a caption at least (default: 3)"),
    ("max_length", positive, "N", "words of a caption at most (default: 30)"),
    ("length_penalty", float, "X", "score = sum log p / length ** X (default: 1)"),
    ("no_repeat_ngram", int, "N", "no N words occur twice in a row (default: they may)"),
    ("batch_size", positive, "N", "windows decoded at once (default: 16)"),
)


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "caption",
        help="caption audio files with a trained system",
        description="Prints FILE<TAB>CAPTION for each sound, in order. Files that cannot be read "
        "are named on standard error; the others still run, and the exit code is 1.",
        epilog="Example: captioner caption --model results/synthetic/systems/transformer_small/"
        "seed1/model --window 20 --hop 10 --format vtt --out walk.vtt walk.mp3",
    )
    parser.add_argument(
        "sounds",
        nargs="+",
        metavar="FILE|FOLDER|-",
        help="audio of any format and rate libsndfile reads (wav, flac, ogg, mp3, ...); folders "
        "with all audio files below them; - reads names from standard input, one a line",
    )
    add_models(parser, "the folder of a trained system; several times: an ensemble of them")
    parser.add_argument(
        "--window",
        type=_seconds,
        metavar="S",
        help="caption windows of S seconds; the last one ends with the sound",
    )
    parser.add_argument(
        "--hop",
        type=_seconds,
        metavar="S",
        help="seconds from one window's start to the next one's (default: the window)",
    )
    parser.add_argument(
        "--n-best", type=positive, default=1, metavar="N", help="captions of each, with scores"
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="of the output (default: %(default)s); vtt and srt are subtitles",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="a file, written when all is done; of subtitles of several sounds a folder",
    )
    for name, kind, metavar, text in DECODING:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=kind, metavar=metavar, help=text)
    parser.add_argument(
        "--no-repeat-content",
        action="store_true",
        default=None,
        help="no word occurs twice in a caption but stop words",
    )
    for name, verb in (("banned", "no caption holds"), ("forced", "every caption holds")):
        parser.add_argument(
            f"--{name}-word",
            dest=f"{name}_words",
            action="append",
            metavar="WORD",
            help=f"a word that {verb}; may be given several times",
        )
    parser.set_defaults(run=_caption)


class Output(Protocol):
    """Where captions go."""

    def write(self, window: "CaptionedWindow") -> None:
        """Take one window."""


def _caption(arguments: argparse.Namespace) -> int:
    if arguments.format in SUBTITLES and arguments.n_best > 1:
        raise InputError(
            f"--n-best {arguments.n_best}: found with --format {arguments.format}, whose cues hold "
            "one caption; expected text, csv or jsonl."
        )
    from captioner.decoding.caption import Unusable, load_captioner
    from captioner.decoding.caption_rows import one_line
    from captioner.decoding.windows import find_sounds

    sounds = find_sounds(_names(arguments.sounds))
    spare_inputs(arguments.out, sounds)
    found = load_captioner(arguments.model).stream(
        sounds,
        window=arguments.window,
        hop=arguments.hop,
        n_best=arguments.n_best,
        **_decoding(arguments),
    )
    exit_code, n_done = 0, 0
    with ExitStack() as stack:
        progress = _progress(stack, len(sounds), shown=arguments.out or not sys.stdout.isatty())
        out = stack.enter_context(_output(arguments, len(sounds)))
        for number, each in found:
            if isinstance(each, Unusable):
                _complain(one_line(str(each.error)))
                exit_code = SOME_FAILED
            else:
                try:
                    out.write(each)
                except InputError as error:
                    _complain(one_line(str(error)))
                    exit_code = SOME_FAILED
                if progress:
                    progress.advance(number - n_done, at=f"{each.end_s:.0f} s")
                    n_done = number
        if progress:
            progress.advance(len(sounds) - n_done)
    return exit_code


def _names(given: Sequence[str]) -> Iterator[str]:
    for name in given:
        if name != "-":
            yield name
            continue
        for line in sys.stdin.buffer:
            if named := line.rstrip(b"\r\n"):
                yield os.fsdecode(named)


def _decoding(arguments: argparse.Namespace) -> dict[str, Any]:
    names = [name for name, *_ in DECODING]
    names += ["no_repeat_content", "banned_words", "forced_words"]
    given = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _progress(stack: ExitStack, total: int, *, shown: object) -> Any:
    """Give a bar on a terminal that shows no captions."""
    if not (shown and sys.stderr.isatty()):
        return None
    from captioner.job import Progress

    return stack.enter_context(Progress(total, "Captions", "sound"))


def _complain(text: str) -> None:
    from tqdm import tqdm

    tqdm.write(f"captioner: error: {text}", file=sys.stderr)  # above a bar, if there is one


@contextmanager
def _output(arguments: argparse.Namespace, n_sounds: int) -> Iterator[Output]:
    from captioner.decoding.caption_rows import RowWriter

    if arguments.format in SUBTITLES:
        yield _subtitle_output(arguments, n_sounds)
        return
    with _stream(arguments.out) as stream:
        cut, n_best = arguments.window is not None, arguments.n_best
        yield RowWriter(stream, arguments.format, cut=cut, n_best=n_best)


@contextmanager
def _stream(path: Path | None) -> Iterator[TextIO]:
    from captioner.job import atomic_path

    if path is None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        yield sys.stdout
        return
    if path.is_dir():
        raise InputError(f"--out {path}: found a folder, expected the name of a file.")
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        yield stream


def _subtitle_output(arguments: argparse.Namespace, n_sounds: int) -> "Subtitles":
    out: Path | None = arguments.out
    several = n_sounds > 1 or any(os.path.isdir(name) for name in arguments.sounds)  # noqa: PTH112
    if several and (out is None or out.is_file()):
        raise InputError(
            f"--format {arguments.format}: found {n_sounds} sounds, expected one, or --out FOLDER, "
            "where each gets a file."
        )
    folder = out if out is not None and (several or out.is_dir()) else None
    return Subtitles(arguments.format, out, folder)


class Subtitles:
    """Write a sound's subtitles when its last window is there, and none before."""

    def __init__(self, form: "SubtitleFormat", out: Path | None, folder: Path | None):
        """Write to a file, into `folder` by the sounds' names, or to standard output."""
        self._form, self._out, self._folder = form, out, folder
        self._windows: list[CaptionedWindow] = []
        self._written: dict[Path, str] = {}  # -> the sound

    def write(self, window: "CaptionedWindow") -> None:
        """Take one window."""
        from captioner.decoding.subtitles import subtitles

        if window.start_s == 0:
            self._windows = []
        self._windows.append(window)
        if not window.last:
            return
        with _stream(self._place(window.sound)) as stream:
            stream.write(subtitles(self._windows, self._form))
            stream.flush()

    def _place(self, sound: str) -> Path | None:
        if self._folder is None:
            return self._out
        path = self._folder / f"{Path(sound).stem}.{self._form}"
        other = self._written.setdefault(path, sound)
        if other != sound:
            raise InputError(
                f"{sound}: found the subtitles of {other} at {path}, expected names that differ. "
                "Caption it into another folder."
            )
        return path


def _seconds(text: str) -> float:
    """Parse a number above 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time above 0 seconds")
    return number
