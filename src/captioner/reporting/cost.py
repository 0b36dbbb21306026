"""What the section on cost shows of each system: its size, its trainings, its decoding."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.errors import InputError
from captioner.models.parameters import total_parameters
from captioner.reporting.content import Group, ReportContent, system_titles
from captioner.reporting.learning import Training, known_mean
from captioner.reporting.loading import read_seconds

# Whose benchmarks tell the speed of a system.
DECODING_RULE, FEATURES_RULE = "decode_split", "extract_features"

Models = Mapping[tuple[str, int], Mapping[str, Any]]  # by system and seed: what each says of itself

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Size:
    """What one system weighs and what its trainings cost; None where there is nothing to know."""

    title: str
    family: str
    n_parameters: int | None  # of an ensemble, of its members together
    with_encoders: int | None  # those of the encoders that it hears through added
    trainings: Sequence[Training]

    @property
    def n_epochs(self) -> float | None:
        """Epochs of a training, the mean over the seeds."""
        return known_mean([training.n_epochs for training in self.trainings])

    @property
    def epoch_s(self) -> float | None:
        """Seconds of an epoch, the mean over all epochs of all seeds."""
        return known_mean([value for t in self.trainings for value in t.epoch_seconds])

    @property
    def clips_per_s(self) -> float | None:
        """Clips encoded per second of training, the mean over all epochs of all seeds."""
        return known_mean([value for t in self.trainings for value in t.history.clips_per_s])

    @property
    def seconds(self) -> float | None:
        """Time of all trainings together."""
        return sum(t.seconds for t in self.trainings) if self.trainings else None


@dataclass(frozen=True)
class Speed:
    """How fast one system decodes, from stored features, the start of the process included."""

    label: str
    decoding: str
    n_clips: int  # of all seeds and splits that were timed
    seconds: float
    features_s: float | None  # what making these features took, for each seed; None if unknown
    sound_s: float

    @property
    def real_time_factor(self) -> float:
        """Seconds of decoding per second of sound."""
        return self.seconds / self.sound_s

    @property
    def real_time_factor_of_all(self) -> float | None:
        """Seconds of decoding and of extracting the features per second of sound."""
        if self.features_s is None:
            return None
        return (self.seconds + self.features_s) / self.sound_s

    @property
    def clips_per_s(self) -> float:
        """Clips captioned per second."""
        return self.n_clips / self.seconds


def sizes(
    content: ReportContent, models: Models, trainings: Mapping[str, Sequence[Training]]
) -> list[Size]:
    """Give size and cost of every system that has a model or consists of models."""
    folders = {(run.name, run.seed): run.model for run in content.systems}
    found = []
    for name, title in system_titles(content.systems).items():
        if members := content.members(name):
            counts = [models.get(member, {}).get("n_parameters") for member in members]
            n_parameters = None if None in counts else sum(filter(None, counts))
            with_encoders = _with_encoders([folders.get(member) for member in members])
            family = f"ensemble of {len(members)}"
            found.append(Size(title, family, n_parameters, with_encoders, ()))
        elif own := [key for key in models if key[0] == name]:
            model = models[own[0]]
            found.append(
                Size(
                    title,
                    model["family"],
                    model["n_parameters"],
                    _with_encoders([folders.get(own[0])]),
                    trainings.get(name, ()),
                )
            )
    return found


def _with_encoders(folders: Sequence[Path | None]) -> int | None:
    known = [folder for folder in folders if folder is not None]
    if len(known) < len(folders):
        return None
    try:
        return total_parameters(known)
    except InputError as error:
        log.warning("The encoders' parameters are not in the report: %s", error)
        return None


def speeds(
    content: ReportContent, models: Models, durations: Mapping[str, Sequence[float]]
) -> list[Speed]:
    """Read how long decoding took, of every system with a benchmark; `durations` by split."""
    timed = {path.stem: path for path in content.benchmarks.get(DECODING_RULE, ())}
    features_s = _features_s(content)
    found = []
    for group in content.groups():
        frontends = _frontends(content, models, group)
        n_clips, seconds, sound_s = 0, 0.0, 0.0
        heard: list[float | None] = []
        for run in group.runs:
            for split, of_split in durations.items():
                path = timed.get(f"{run.run_name}.{split}")
                if path is not None and of_split:
                    seconds += read_seconds(path)
                    heard += [features_s.get((frontend, split)) for frontend in frontends]
                    n_clips += len(of_split)
                    sound_s += sum(of_split)
        if seconds > 0 and sound_s > 0:
            known = [value for value in heard if value is not None]
            all_s = sum(known) if frontends and len(known) == len(heard) else None
            found.append(Speed(group.label, group.first.decoding, n_clips, seconds, all_s, sound_s))
    return found


def _features_s(content: ReportContent) -> dict[tuple[str, str], float]:
    """Give (front-end, split) -> time of all its shards, which are named FRONTEND.SPLIT.SHARD."""
    found: dict[tuple[str, str], float] = {}
    for path in content.benchmarks.get(FEATURES_RULE, ()):
        frontend, split, _ = path.stem.rsplit(".", 2)
        found[frontend, split] = found.get((frontend, split), 0.0) + read_seconds(path)
    return found


def _frontends(content: ReportContent, models: Models, group: Group) -> set[str]:
    """Give the names of what a system, or any member of an ensemble, hears through."""
    members = content.members(group.first.name) or [(run.name, run.seed) for run in group.runs]
    return {name for member in members for name in models.get(member, {}).get("frontends", ())}
