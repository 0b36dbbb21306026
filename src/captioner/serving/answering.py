"""Caption one uploaded sound: what `captioner caption` says of it, with tags and a spectrogram."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from captioner.audio.frontends import FrontEnd, Heard
from captioner.decoding.caption import CaptionedWindow, SoundCaptioner, Unusable, load_captioner
from captioner.decoding.caption_rows import as_json
from captioner.reporting.heard import top_tags
from captioner.reporting.model_info import describe_model
from captioner.serving.checking import check, refusal, without_place
from captioner.serving.queries import Query
from captioner.serving.turns import StoppedError
from captioner.serving.uploads import Limits

BATCH_SIZE = 4  # windows: between batches it is seen that nobody waits any more


class TagKeeper:
    """A front-end that keeps the tags of the windows it hears, which captioning has no use for."""

    def __init__(self, frontend: FrontEnd):
        """Hear through `frontend`."""
        self._frontend = frontend
        self.heard: list[np.ndarray] = []  # (n_tags,) probabilities of each window, in order

    def __getattr__(self, name: str) -> Any:
        """Be the front-end in all else."""
        return getattr(self._frontend, name)

    def hear(self, waveforms: Sequence[np.ndarray]) -> list[Heard]:
        """Give features and tags."""
        heard = self._frontend.hear(waveforms)
        self.heard += [each.tags for each in heard if each.tags is not None]
        return heard


class Answerer:
    """Answers for one system, or an ensemble. One thread at a time."""

    def __init__(self, folders: Sequence[Path], limits: Limits):
        """Load the models; raises `InputError` for a folder that is none."""
        loaded = load_captioner(folders)
        self._keepers = {name: TagKeeper(each) for name, each in loaded.frontends.items()}
        self._captioner = SoundCaptioner(loaded.loaded, self._keepers)
        self._limits = limits
        self._models = [describe_model(folder) for folder in folders]

    def about(self) -> dict[str, Any]:
        """Say what the models are and what an upload may be. No path of this machine is told."""
        private = ("folder", "files")
        return {
            "models": [
                {key: value for key, value in model.items() if key not in private}
                for model in self._models
            ],
            "max_bytes": self._limits.n_bytes,
            "max_s": self._limits.duration_s,
        }

    def answer(self, path: Path, query: Query, stop: threading.Event) -> dict[str, Any]:
        """Caption the file.

        Raises `RefusedError` where it cannot be used, and `StoppedError` soon after `stop` is set.
        """
        if stop.is_set():
            raise StoppedError
        started = time.perf_counter()
        with _notes(path) as notes:
            checked = check(path, self._limits, stop)
            windows = self._windows(path, query, checked.info.duration_s, stop)
        if checked.silent:
            notes.append("The sound is silent: no sample reaches -80 dB of full scale.")
        alone = windows[0] if len(windows) == 1 else {"caption": None, "n_best": []}
        answer = {
            "caption": alone["caption"],
            "n_best": alone["n_best"],
            "windows": windows,
            "tags": _strongest(windows),
            "duration_s": round(checked.info.duration_s, 6),
            "sample_rate_hz": checked.info.sample_rate_hz,
            "n_channels": checked.info.n_channels,
            "notes": notes,
            "elapsed_s": round(time.perf_counter() - started, 3),
        }
        if query.spectrogram:
            answer["spectrogram"] = checked.spectrogram.as_json()
        return answer

    def _windows(
        self, path: Path, query: Query, duration_s: float, stop: threading.Event
    ) -> list[dict[str, Any]]:
        for keeper in self._keepers.values():
            keeper.heard = []
        cut = query.windows_for(duration_s)
        found = self._captioner.stream(
            str(path),
            window=cut.window_s if cut else None,
            hop=cut.hop_s if cut else None,
            n_best=query.n_best,
            batch_size=BATCH_SIZE,
        )
        windows = []
        for number, (_, each) in enumerate(found):
            if stop.is_set():
                raise StoppedError
            if isinstance(each, Unusable):
                raise refusal(each.error, path)
            windows.append(self._window(number, each))
        return windows

    def _window(self, number: int, window: CaptionedWindow) -> dict[str, Any]:
        said = as_json(window)
        del said["file_name"]  # a temporary one
        said["tags"] = {
            name: [
                {"tag": tag, "probability": round(probability, 4)}
                for tag, probability in top_tags(keeper.tags, keeper.heard[number])
            ]
            for name, keeper in self._keepers.items()
            if keeper.tags
        }
        return said


def _strongest(windows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Give each tag its highest probability among the windows, the most probable tags first."""
    strongest: dict[str, list[dict[str, Any]]] = {}
    for name, of_first in windows[0]["tags"].items():
        highest: dict[str, float] = {}
        for window in windows:
            for each in window["tags"][name]:
                highest[each["tag"]] = max(each["probability"], highest.get(each["tag"], 0.0))
        ranked = sorted(highest.items(), key=lambda item: -item[1])[: len(of_first)]
        strongest[name] = [{"tag": tag, "probability": value} for tag, value in ranked]
    return strongest


@contextmanager
def _notes(path: Path) -> Iterator[list[str]]:
    """Collect the warnings about a sound, for its sender rather than for the server's terminal."""
    notes: list[str] = []

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            note = without_place(record.getMessage(), path)
            if note not in notes:
                notes.append(note)

    log, handler = logging.getLogger("captioner"), Notes(logging.WARNING)
    propagate = log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield notes
    finally:
        log.removeHandler(handler)
        log.propagate = propagate
