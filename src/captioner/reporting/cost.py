"""What the section on cost shows of each system: its size, its trainings, its decoding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from captioner.reporting.content import ReportContent, system_titles
from captioner.reporting.learning import Training, known_mean
from captioner.reporting.loading import read_costs

DECODING_RULE = "decode_split"  # whose benchmarks tell the speed of decoding


@dataclass(frozen=True)
class Size:
    """What one system weighs and what its trainings cost; None where there is nothing to know."""

    title: str
    family: str
    n_parameters: int | None  # of an ensemble, of its members together
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
    sound_s: float

    @property
    def real_time_factor(self) -> float:
        """Seconds of computation per second of sound."""
        return self.seconds / self.sound_s

    @property
    def clips_per_s(self) -> float:
        """Clips captioned per second."""
        return self.n_clips / self.seconds


def sizes(
    content: ReportContent,
    models: Mapping[tuple[str, int], Mapping[str, Any]],
    trainings: Mapping[str, Sequence[Training]],
) -> list[Size]:
    """Give size and cost of every system that has a model or consists of models."""
    found = []
    for name, title in system_titles(content.systems).items():
        if members := content.members(name):
            counts = [models.get(member, {}).get("n_parameters") for member in members]
            n_parameters = None if None in counts else sum(filter(None, counts))
            found.append(Size(title, f"ensemble of {len(members)}", n_parameters, ()))
        elif own := [model for (system, _), model in models.items() if system == name]:
            of_system = trainings.get(name, ())
            found.append(Size(title, own[0]["family"], own[0]["n_parameters"], of_system))
    return found


def speeds(content: ReportContent, durations: Mapping[str, Sequence[float]]) -> list[Speed]:
    """Read how long decoding took, of every system with a benchmark; `durations` by split."""
    timed = {path.stem: path for path in content.benchmarks.get(DECODING_RULE, ())}
    found = []
    for group in content.groups():
        n_clips, seconds, sound_s = 0, 0.0, 0.0
        for run in group.runs:
            for split, of_split in durations.items():
                path = timed.get(f"{run.run_name}.{split}")
                if path is not None and of_split:
                    seconds += sum(cost.seconds for cost in read_costs({DECODING_RULE: [path]}))
                    n_clips += len(of_split)
                    sound_s += sum(of_split)
        if seconds > 0 and sound_s > 0:
            found.append(Speed(group.label, group.first.decoding, n_clips, seconds, sound_s))
    return found
