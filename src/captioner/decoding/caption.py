"""Caption any sound with trained systems' folders and nothing else: files, folders, arrays."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from captioner.audio.frontends import FrontEnd, build_frontend
from captioner.audio.reading import Part, resample
from captioner.decoding.decode import decode_batches
from captioner.decoding.ensemble import Average, ensemble
from captioner.decoding.options import DecodingOptions, Hypothesis
from captioner.decoding.windows import Sound, Windows, find_sounds, is_one, read_windows
from captioner.errors import InputError
from captioner.models.checkpoint import LoadedModel, encoder_weights, load_model

# Those of `beam3` in config.yaml: a model folder does not know its decodings, which the config
# names beside it.
DEFAULTS: dict[str, Any] = {"beam_size": 3, "min_length": 3, "max_length": 30, "batch_size": 16}
BATCH_S = 240.0  # seconds of audio held at once, in whole windows: 42 MB at 44.1 kHz

Sounds = str | os.PathLike[str] | np.ndarray | Iterable[str | os.PathLike[str] | np.ndarray]


@dataclass(frozen=True)
class ScoredCaption:
    """A caption and how probable it is, as `Hypothesis` defines the score."""

    caption: str
    score: float


@dataclass(frozen=True)
class CaptionedWindow:
    """What was said of a window, or of a whole sound."""

    sound: str  # the file as named; "array 0" is the first array
    start_s: float
    end_s: float
    duration_s: float  # of the whole sound
    n_best: tuple[ScoredCaption, ...]  # best first; none where the options leave none

    @property
    def caption(self) -> str:
        """Give the best caption; "" if there is none."""
        return self.n_best[0].caption if self.n_best else ""

    @property
    def last(self) -> bool:
        """Say whether the sound ends with this window."""
        return self.end_s >= self.duration_s


@dataclass(frozen=True)
class Unusable:
    """A sound that cannot be read, or the rest of it, and why."""

    sound: str
    error: InputError


@dataclass(frozen=True)
class CaptionedSound:
    """What was said of a sound."""

    sound: str  # as in `CaptionedWindow`
    windows: tuple[CaptionedWindow, ...]  # in order; one where none were asked for
    error: InputError | None  # why the sound, or what follows the windows, cannot be used

    @property
    def caption(self) -> str:
        """Give the caption of a sound that was not cut.

        Raises `InputError` where the sound cannot be used and where it has several windows.
        """
        if self.error is not None:
            raise self.error
        if len(self.windows) != 1:
            raise InputError(
                f"{self.sound}: found {len(self.windows)} windows, expected one: each of `windows` "
                "has its caption."
            )
        return self.windows[0].caption


@dataclass(frozen=True)
class SoundCaptioner:
    """A system with its front-ends, or several as an ensemble, ready for sounds."""

    loaded: LoadedModel
    frontends: Mapping[str, FrontEnd]

    def caption(
        self,
        sounds: Sounds,
        *,
        sample_rate_hz: int | None = None,
        window: float | None = None,
        hop: float | None = None,
        n_best: int = 1,
        **decoding: Any,
    ) -> list[CaptionedSound]:
        """Caption sounds, in their order; one that cannot be used has an `error`.

        Args:
            sounds: one or several files, folders (all audio files below them) and arrays of
                (n_samples,) or (n_samples, n_channels).
            sample_rate_hz: of the arrays.
            window: seconds; long sounds are cut into as many windows as they need.
            hop: seconds between the starts of windows; by default they stand side by side.
            n_best: captions of each window at most.
            decoding: options of `captioner.decoding.options.DecodingOptions` by name.

        Raises:
            InputError: for options that do not fit together.
        """
        found = self.stream(
            sounds,
            sample_rate_hz=sample_rate_hz,
            window=window,
            hop=hop,
            n_best=n_best,
            **decoding,
        )
        return [_join(list(of_sound)) for _, of_sound in groupby(found, lambda each: each[0])]

    def stream(
        self,
        sounds: Sounds,
        *,
        sample_rate_hz: int | None = None,
        window: float | None = None,
        hop: float | None = None,
        n_best: int = 1,
        **decoding: Any,
    ) -> Iterator[tuple[int, CaptionedWindow | Unusable]]:
        """Give (number of the sound, window) as they come, in memory that does not grow.

        As `caption`; folders count as many sounds as they hold.
        """
        options = decoding_options(n_best, decoding)
        windows = Windows.of(window, hop)
        listed = _list_sounds(sounds)
        return self._stream(listed, sample_rate_hz, windows, options)

    def _stream(
        self,
        sounds: Sequence[tuple[str, Sound]],
        rate: int | None,
        windows: Windows | None,
        options: DecodingOptions,
    ) -> Iterator[tuple[int, CaptionedWindow | Unusable]]:
        """Read as many windows as are decoded together, of one sound or several, and decode."""
        batch: list[tuple[int, str, Part | InputError]] = []
        held_s = 0.0
        for number, (name, sound) in enumerate(sounds):
            for part in _read(sound, name, rate, windows):
                batch.append((number, name, part))
                if isinstance(part, Part):
                    held_s += len(part.waveform) / part.sample_rate_hz
                if len(batch) == options.batch_size or held_s >= BATCH_S:
                    yield from self._caption_batch(batch, options)
                    batch, held_s = [], 0.0
        yield from self._caption_batch(batch, options)

    def _caption_batch(
        self, batch: Sequence[tuple[int, str, Part | InputError]], options: DecodingOptions
    ) -> Iterator[tuple[int, CaptionedWindow | Unusable]]:
        heard: dict[str, dict[str, np.ndarray]] = {name: {} for name in self.frontends}
        parts: dict[str, Part] = {}  # by what makes a window: a file may be named twice
        for _, name, part in batch:
            if isinstance(part, Part):
                parts[_key(name, part)] = part
        for frontend_name, frontend in self.frontends.items():
            waveforms = [
                resample(part.waveform, part.sample_rate_hz, frontend.sample_rate_hz)
                for part in parts.values()
            ]
            with np.errstate(over="ignore", invalid="ignore"):  # told below, in words
                features = [each.features for each in frontend.hear(waveforms)]
            heard[frontend_name] = dict(zip(parts, features, strict=True))
        usable = [
            key
            for key in parts
            if all(np.isfinite(features[key]).all() for features in heard.values())
        ]
        found: dict[str, list[Hypothesis]] = {}
        for hypotheses in decode_batches(self.loaded, heard, usable, options):
            found.update(hypotheses)
        for number, name, part in batch:
            if isinstance(part, InputError):
                yield number, Unusable(name, part)
            elif (key := _key(name, part)) in found:
                yield number, self._window(name, part, found[key])
            else:
                yield number, Unusable(name, _too_loud(name, part))

    def _window(self, name: str, part: Part, found: Sequence[Hypothesis]) -> CaptionedWindow:
        rate = part.sample_rate_hz
        return CaptionedWindow(
            sound=name,
            start_s=part.start / rate,
            end_s=(part.start + len(part.waveform)) / rate,
            duration_s=part.n_samples / rate,
            n_best=tuple(
                ScoredCaption(self.loaded.vocabulary.decode(each.tokens), each.score)
                for each in found
            ),
        )


def load_captioner(
    folders: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    average: Average = "probability",
) -> SoundCaptioner:
    """Load a trained system's folder, or several as an ensemble.

    Raises `InputError` for a folder that is no model, and for systems that cannot be joined.
    """
    paths = [Path(folders)] if is_one(folders) else [Path(folder) for folder in folders]  # type: ignore[arg-type, union-attr]
    if not paths:
        raise InputError("models: found none, expected the folder `model` of a trained system.")
    members = [load_model(path) for path in paths]
    frontends: dict[str, FrontEnd] = {}
    loaded = members[0] if len(members) == 1 else ensemble(members, average)
    for path, member in zip(paths, members, strict=True):
        for name, settings in member.description["frontends"].items():
            if name not in frontends:
                weights = encoder_weights(path, name, settings)
                frontends[name] = build_frontend(settings, weights)
    return SoundCaptioner(loaded, frontends)


def decoding_options(n_best: int, given: Mapping[str, Any]) -> DecodingOptions:
    """Give the options of a decoding; what is not given is as `DEFAULTS` says, where that fits.

    The beam is as wide as `n_best` and the forced words need. Raises `InputError`.
    """
    settings = DEFAULTS | {"n_best": n_best}
    if given.get("samples"):
        settings["beam_size"] = 1
    else:
        forced = len(given.get("forced_words", ()))
        settings["beam_size"] = max(settings["beam_size"], n_best, forced + 1 if forced else 0)
    settings["min_length"] = min(
        settings["min_length"], max(0, given.get("max_length", settings["max_length"]))
    )
    settings["max_length"] = max(settings["max_length"], given.get("min_length", 0))
    return DecodingOptions.from_settings(settings | dict(given))


def _list_sounds(sounds: Sounds) -> list[tuple[str, Sound]]:
    """Give each sound with its name; folders become the files below them."""
    given: Iterable[Any] = [sounds] if is_one(sounds) else sounds  # type: ignore[assignment]
    listed: list[tuple[str, Sound]] = []
    n_arrays = 0
    for sound in given:
        if isinstance(sound, str | os.PathLike):
            listed += [(name, name) for name in find_sounds([os.fspath(sound)])]
        else:
            listed.append((f"array {n_arrays}", sound))
            n_arrays += 1
    return listed


def _read(
    sound: Sound, name: str, rate: int | None, windows: Windows | None
) -> Iterator[Part | InputError]:
    """Give the windows of a sound; at the end the error, if there is one."""
    try:
        yield from read_windows(sound, name, rate, windows)
    except InputError as error:
        yield error


def _key(name: str, part: Part) -> str:
    """Name a window; what is drawn of a whole file depends on its name alone."""
    return f"{name}@{part.start}" if part.start else name


def _too_loud(name: str, part: Part) -> InputError:
    return InputError(
        f"{name}: found samples up to {abs(part.waveform).max():.3g}, whose features are not "
        "finite, expected a full scale of 1. Export the file again or leave it out."
    )


def _join(found: Sequence[tuple[int, CaptionedWindow | Unusable]]) -> CaptionedSound:
    windows = tuple(each for _, each in found if isinstance(each, CaptionedWindow))
    errors = [each.error for _, each in found if isinstance(each, Unusable)]
    return CaptionedSound(found[0][1].sound, windows, errors[0] if errors else None)
