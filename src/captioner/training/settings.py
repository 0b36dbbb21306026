"""Settings of a training that contradict one another: named before anything runs."""

from collections.abc import Mapping
from typing import Any

from captioner.errors import InputError


def check_training(training: Mapping[str, Any], *, validated: bool) -> None:
    """Raise `InputError` for settings of a system's `training:` that make no sense together.

    `validated`: there is a validation split, which the training has not seen.
    """
    if training["schedule"] == "plateau" and not validated:
        raise InputError(
            "training: schedule: found plateau without a validation split, expected one to see the "
            "plateau on. Take `schedule: cosine` or `constant`."
        )
    if training["loss"] == "self_critical":
        for key in ("label_smoothing", "mixup", "word_dropout"):
            if training[key]:
                raise InputError(
                    f"training: {key}: found {training[key]} with `loss: self_critical`, which "
                    f"learns from no given caption. Leave it out, or set `{key}` to "
                    f"{'null' if key == 'mixup' else 0}."
                )
