"""The fields of a submission's metadata, as the DCASE 2021 Task 6 page names them.

The writer and the checker read these tables. The page spells `leasrning_rate`; its own text lost
the nesting, which is that of the challenge's other tasks.
"""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "number", "whole", "flag", "email", "url"]


@dataclass(frozen=True)
class Field:
    """A field of the metadata."""

    kind: Kind
    null: bool = True  # whether `!!null` may stand there: it does not apply
    required: bool = True  # the key, if only with `!!null`
    most: float | None = None  # numbers are 0 or more
    spelling: str | None = None  # accepted in place of the key


AUTHOR = {
    "lastname": Field("text", null=False),
    "firstname": Field("text"),
    "email": Field("email", required=False),
    "corresponding": Field("flag", required=False),
    "affiliation": {
        "abbreviation": Field("text"),
        "institute": Field("text"),
        "department": Field("text", required=False),
        "location": Field("text"),
    },
}
DESCRIPTION = {
    "input_sampling_rate": Field("text"),
    "acoustic_features": Field("text"),
    "word_embeddings": Field("text"),
    "data_augmentation": Field("text"),
    "machine_learning_method": Field("text"),
    "learning_scheme": Field("text"),
    "ensemble": Field("flag", null=False),
    "audio_modelling": Field("text"),
    "word_modelling": Field("text"),
    "loss_function": Field("text"),
    "optimizer": Field("text"),
    "leasrning_rate": Field("number", spelling="learning_rate"),
    "gradient_clipping": Field("number"),
    "gradient_norm": Field("text"),
    "metric_monitored": Field("text"),
    # Not on the page, whose rules ask that any use of Clotho's metadata be stated.
    "clotho_metadata": Field("text", required=False),
}
DATASET = {
    "name": Field("text", null=False),
    "url": Field("url"),
    "has_audio": Field("flag"),
    "has_images": Field("flag"),
    "has_video": Field("flag"),
    "has_captions": Field("flag"),
    "nb_captions_per_audio": Field("number"),
    "total_audio_length": Field("number"),  # "total amount of examples used"
    "used_for": Field("text"),
}
RESULTS = {  # most: CIDEr is 10 times a mean of cosines
    **{name: Field("number", most=1) for name in ("bleu1", "bleu2", "bleu3", "bleu4")},
    "rougel": Field("number", most=1),
    "meteor": Field("number", most=1),
    "cider": Field("number", most=10),
    "spice": Field("number", most=1),
    "spider": Field("number", most=5.5),
}
METADATA: dict[str, Any] = {  # a list holds the form of its items
    "submission": {
        "label": Field("text", null=False),
        "name": Field("text", null=False),
        "abbreviation": Field("text", null=False),
        "authors": [AUTHOR],
    },
    "system": {
        "description": DESCRIPTION,
        "complexity": {"total_parameters": Field("whole")},
        "external_datasets": [DATASET],
        "source_code": Field("url", required=False),
    },
    "results": {"development_evaluation": RESULTS},
}
MAX_ABBREVIATION = 10  # characters
METRICS = {  # key of the metadata -> key of a scores file
    "bleu1": "bleu_1",
    "bleu2": "bleu_2",
    "bleu3": "bleu_3",
    "bleu4": "bleu_4",
    "rougel": "rouge_l",
    "meteor": "meteor",
    "cider": "cider",
    "spice": "spice",
    "spider": "spider",
}
TOLERANCE = 0.0005  # of a result: it has three decimals on the page
