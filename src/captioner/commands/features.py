"""`captioner features`: what a front-end makes of an audio file, in numbers and in a picture."""

import argparse
import glob
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner.commands.arguments import Commands, positive
from captioner.errors import InputError

if TYPE_CHECKING:
    from captioner.audio.frontends import FrontEnd, Heard
    from captioner.reporting.heard import HeardClip, Sound

CHECKOUT = Path(__file__).resolve().parents[3]
FOLDER = Path("config", "frontends")
SCHEMA = Path("workflow", "schemas", "frontend.schema.yaml")
DOWNLOADS = Path("resources", "downloads")
WEIGHTS = "weights.tsv"
LONGEST_S = 300  # heard by default: a recording of hours would need its size in memory
MATRIX_FORMATS = (".npy", ".csv")

log = logging.getLogger(__name__)


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "features",
        help="show what a front-end makes of an audio file",
        description="Prints shape, frame rate, range and mean of the features and, for encoders, "
        "the most probable tags; draws and writes them where asked to.",
        epilog="Example: captioner features rain.wav --frontend logmel-dcase --plot rain.png",
    )
    parser.add_argument(
        "file", metavar="FILE", help="audio of any format and rate libsndfile reads"
    )
    parser.add_argument(
        "--frontend",
        required=True,
        metavar="NAME",
        help=f"a file of {FOLDER}, without .yaml, or the path of your own YAML file",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE.png",
        help="draw waveform, features and tags (.png, .svg or .pdf)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.npy",
        help="write the features, a row per frame (.npy, or .csv with times)",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="the checkpoint of an encoder (default: where the workflow downloads it)",
    )
    parser.add_argument(
        "--seconds",
        type=positive,
        default=LONGEST_S,
        metavar="N",
        help="hear no more than the first N seconds (default: %(default)s)",
    )
    parser.set_defaults(run=_features)


def _features(arguments: argparse.Namespace) -> int:
    from captioner.audio.frontends import build_frontend
    from captioner.reporting.heard import PICTURE_FORMATS, HeardClip, read_sound, top_tags

    _check_suffix("--plot", arguments.plot, PICTURE_FORMATS)
    _check_suffix("--out", arguments.out, MATRIX_FORMATS)
    name, settings = _resolve(arguments.frontend)
    weights = _find_weights(name, settings, arguments.weights)
    sound = read_sound(arguments.file, arguments.seconds)
    if sound.duration_s < sound.file_duration_s:
        log.warning(
            "%s: %.1f s long, of which the first %d s are heard (--seconds N hears more)",
            arguments.file, sound.file_duration_s, arguments.seconds,
        )  # fmt: skip
    frontend = build_frontend(settings, weights)
    heard = _hear(frontend, sound, arguments.file)
    tags = top_tags(frontend.tags, heard.tags)
    clip = HeardClip(sound.duration_s, sound, frontend.settings, heard.features, tags)
    file = os.fsencode(arguments.file).decode("utf-8", "backslashreplace")
    about = _about(sound)
    print(f"{file}: {about}")
    _print_numbers(name, clip)
    if arguments.out:
        _write_matrix(arguments.out, clip)
    if arguments.plot:
        from captioner.reporting.heard_figure import write_picture

        write_picture(clip, Path(file).name, f"{about}, {name}", arguments.plot)
    return 0


def _check_suffix(option: str, path: Path | None, known: Sequence[str]) -> None:
    if path is not None and path.suffix.lower() not in known:
        raise InputError(
            f"{option} {path}: found the suffix {path.suffix!r}, expected one of "
            f"{', '.join(known)}: it says what to write."
        )


def _resolve(reference: str) -> tuple[str, dict[str, Any]]:
    """Give the name of a front-end and its settings: of the working directory, else the project."""
    from captioner.settings import check_names, read_yaml, resolve

    if not reference.endswith((".yaml", ".yml")):
        folders = (CHECKOUT / FOLDER, FOLDER)
        known = {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}
        source = f"--frontend, a file of {FOLDER} or the path of a YAML file"
        check_names([reference], known, "front-end", source)
        reference = str(known[reference])
    schema = read_yaml(CHECKOUT / SCHEMA) if (CHECKOUT / SCHEMA).is_file() else {}
    found = resolve(reference, "front-end", FOLDER, schema)
    return found.name, found.settings


def _find_weights(name: str, settings: Mapping[str, Any], given: Path | None) -> Path | None:
    """Give the checkpoint that a front-end asks for; None if it has no network."""
    checkpoint = settings.get("checkpoint")
    if checkpoint is None or given is not None:
        return given  # weights that nobody asked for are refused where the front-end is built
    pattern = f"*/{glob.escape(checkpoint)}"
    for folder in (DOWNLOADS, CHECKOUT / DOWNLOADS):
        if found := sorted(folder.glob(pattern)):
            return found[0]
    raise InputError(
        f"front-end {name}: found no checkpoint {checkpoint} under {DOWNLOADS}, expected the file "
        f"{_published(checkpoint)}. Fetch it and give its path by --weights."
    )


def _published(checkpoint: str) -> str:
    """Say where a checkpoint is published."""
    from captioner.corpus.download.registry import read_registry

    registries = [
        path for path in (FOLDER / WEIGHTS, CHECKOUT / FOLDER / WEIGHTS) if path.is_file()
    ]
    for registry in registries:
        for entry in read_registry(registry):
            if entry.file == checkpoint:
                return f"from {entry.url} (md5 {entry.md5 or 'unknown'})"
    return f"that its YAML names ({FOLDER / WEIGHTS} does not say where it is published)"


def _hear(frontend: "FrontEnd", sound: "Sound", file: str) -> "Heard":
    import numpy as np

    from captioner.audio.reading import resample

    waveform = resample(sound.waveform, sound.sample_rate_hz, frontend.sample_rate_hz)
    with np.errstate(over="ignore", invalid="ignore"):  # told below, in words
        (heard,) = frontend.hear([waveform])
    if not np.isfinite(heard.features).all():
        raise InputError(
            f"{file}: found samples up to {abs(sound.waveform).max():.3g}, whose features are not "
            "finite, expected a full scale of 1. Export the file again."
        )
    return heard


def _about(sound: "Sound") -> str:
    from captioner.reporting.tables import counted

    part = ""
    if sound.duration_s < sound.file_duration_s:
        part = f"first {sound.duration_s:g} s of "
    duration = f"{sound.file_duration_s:.{2 if sound.file_duration_s >= 1 else 5}f} s"
    rate = f"{sound.sample_rate_hz / 1000:g} kHz"
    return f"{part}{duration}, {rate}, {counted(sound.n_channels, 'channel')}"


def _print_numbers(name: str, clip: "HeardClip") -> None:
    from captioner.reporting.heard import describe_sound, frame_times, shape_text, unit_of

    features = clip.features
    step_s = frame_times(clip.settings, len(features), clip.duration_s).step_s
    if clip.sound and (told := describe_sound(clip.sound)):
        print(told)
    print(f"{name}: {shape_text(clip)}, {unit_of(clip.settings)}")
    print(f"frame rate  {1 / step_s:.4g} per second, one every {1000 * step_s:.4g} ms")
    print(f"range       {features.min():.4g} to {features.max():.4g}")
    print(f"mean        {features.mean(dtype='float64'):.4g}")
    if clip.tags:
        print("top tags")
        for tag, probability in clip.tags:
            print(f"  {probability:.3f}  {tag}")


def _write_matrix(path: Path, clip: "HeardClip") -> None:
    """Write (n_frames, n_features) as .npy, or as CSV with the time of each frame in front."""
    import numpy as np

    from captioner.job import atomic_path
    from captioner.reporting.heard import frame_times

    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        if path.suffix.lower() == ".npy":
            np.save(stream, clip.features)
            return
        n_frames, n_features = clip.features.shape
        times = frame_times(clip.settings, n_frames, clip.duration_s)
        header = ",".join(["time_s", *(f"feature_{i}" for i in range(n_features))])
        rows = np.column_stack([times.first_s + np.arange(n_frames) * times.step_s, clip.features])
        form = ["%.6f", *["%.9g"] * n_features]  # nine digits give a float32 back exactly
        np.savetxt(stream, rows, form, delimiter=",", header=header, comments="")
