"""What a system is, in the general tags of the metadata, from what its models say of themselves."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.submission.check_rules import Model, foreign_sources

NETWORKS = {"cnn10": "CNN10", "cnn14": "CNN14", "convnext_tiny": "ConvNeXt-Tiny"}
# Family -> what models the audio (None: its pretrained front-ends alone), what models the words.
FAMILIES: dict[str, tuple[str | None, str]] = {
    "dcase_baseline": ("rnn", "rnn"),
    "conv_transformer": ("cnn, transformer", "transformer"),
    "crnn_attention": ("cnn, rnn", "rnn, attention"),
    "embedding_transformer": (None, "transformer"),
    "cnn_transformer": ("cnn", "transformer"),
}
NO_WORDS_FED = ("dcase_baseline",)  # families that embed no words; the page says one-hot
LOSSES = {"cross_entropy": "crossentropy", "self_critical": "self-critical"}
MONITORS = {"loss": "validation_loss", "cider": "validation_cider", "spider": "validation_spider"}


def describe(
    speaking: Sequence[Model], before: Sequence[Model], own: str, *, ensemble: bool
) -> dict[str, Any]:
    """Give the fields of `system.description`.

    Args:
        speaking: model.json of the models that caption, with the settings of their training.
        before: those that they started from.
        own: the challenge's corpus.
        ensemble: whether several models speak as one.

    None stands where something does not apply or is not known, as for published weights.
    """
    frontends = [f for model in speaking for f in model["frontends"].values()]
    trainings = [t for model in speaking if (t := _training(model))]
    stages = [t for model in (*before, *speaking) if (t := _training(model))]
    clipping = _numbers(t["gradient_clip_norm"] for t in trainings)
    foreign = foreign_sources([*speaking, *before], own)
    return {
        "input_sampling_rate": _joined(f"{f['sample_rate_hz'] / 1000:g}kHz" for f in frontends),
        "acoustic_features": _joined(map(_features, frontends)),
        "word_embeddings": _joined(map(_word_embeddings, speaking)),
        "data_augmentation": _joined(tag for t in trainings for tag in _augmentations(t)),
        "machine_learning_method": "encoder-decoder",
        "learning_scheme": _joined(_scheme(t) for t in stages),
        "ensemble": ensemble,
        "audio_modelling": _joined(map(_audio_modelling, speaking)),
        "word_modelling": _joined(_family(model)[1] for model in speaking),
        "loss_function": _joined(map(_loss, stages)),
        "optimizer": _joined(t["optimizer"] for t in trainings),
        "leasrning_rate": _numbers(t["learning_rate"] for t in trainings),
        "gradient_clipping": clipping,
        "gradient_norm": None if clipping is None else "2",  # the 2-norm
        "metric_monitored": _joined(filter(None, map(_monitored, speaking))),
        **({"clotho_metadata": _metadata_use(foreign)} if foreign else {}),
    }


def _training(model: Model) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = model["settings"].get("training")
    return found


def _family(model: Model) -> tuple[str | None, str]:
    return FAMILIES.get(model["family"], (model["family"], model["family"]))


def _features(frontend: Mapping[str, Any]) -> str:
    if "checkpoint" in frontend:
        return f"{NETWORKS.get(frontend['kind'], frontend['kind'])} embeddings (AudioSet)"
    return "log-mel energies"


def _audio_modelling(model: Model) -> str:
    own = _family(model)[0]
    if pretrained := model["settings"].get("pretrained"):
        own = ", ".join(
            f"{Path(file).stem.split('_')[0]} (AudioSet)" for file in pretrained.values()
        )
    heard = [
        NETWORKS.get(f["kind"], f["kind"]) + " (AudioSet)"
        for f in model["frontends"].values()
        if "checkpoint" in f
    ]
    return ", ".join(filter(None, [*heard, own]))


def _word_embeddings(model: Model) -> str:
    if model["family"] in NO_WORDS_FED:
        return "one-hot"
    words = model["settings"].get("word_embeddings")
    if words is None:
        return "learned"
    names = {
        "word2vec": "learned (Word2Vec)",
        "bert": "BERT",
        "file": Path(words.get("path", "")).name,
    }
    return f"{names[words['source']]}{', frozen' if words.get('frozen') else ''}"


def _augmentations(training: Mapping[str, Any]) -> Iterable[str]:
    for key, tag in {"specaugment": "SpecAugment", "mixup": "mixup"}.items():
        if training.get(key):
            yield tag
    if training.get("word_dropout"):
        yield "word dropout"


def _scheme(training: Mapping[str, Any]) -> str:
    return "reinforcement" if training.get("loss") == "self_critical" else "supervised"


def _loss(training: Mapping[str, Any]) -> str:
    loss = training.get("loss", "cross_entropy")
    if loss == "self_critical":
        weights = training["self_critical"]["reward"]
        rewards = " + ".join(metric for metric, weight in weights.items() if weight)
        return f"{LOSSES[loss]} ({rewards})"
    smoothing = training.get("label_smoothing")
    return LOSSES[loss] + (f" (label smoothing {smoothing:g})" if smoothing else "")


def _monitored(model: Model) -> str | None:
    """Give what chose the weights; None of a training without a validation split."""
    best, training = model.get("best"), _training(model)
    if training is None or (best is not None and best.get("validation_loss") is None):
        return None
    return MONITORS[training.get("monitor", "loss")]


def _metadata_use(corpora: Sequence[str]) -> str:
    return f"sound ids, to leave the corpus's own clips out of {', '.join(corpora)}"


def _joined(tags: Iterable[str]) -> str | None:
    return ", ".join(dict.fromkeys(tags)) or None


def _numbers(values: Iterable[float]) -> float | list[float] | None:
    """Give the one value of all models, or a list of those that there are."""
    found = list(dict.fromkeys(values))
    return found if len(found) > 1 else found[0] if found else None
