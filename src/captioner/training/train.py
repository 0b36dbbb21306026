"""Train one system with one seed: from stored features and captions to a model folder."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.errors import InputError
from captioner.models.checkpoint import save_model
from captioner.models.registry import build_model
from captioner.store.statistics import Statistics
from captioner.text.vocabulary import Vocabulary
from captioner.training.batches import CaptionedClips, load_clips
from captioner.training.loop import Trainer
from captioner.training.process import prepare_process
from captioner.training.resume import ResumeFile, digest

log = logging.getLogger(__name__)

Paths = Sequence[str | Path]


def train_system(
    *,
    system: str,
    settings: Mapping[str, Any],
    seed: int,
    features: Mapping[str, Mapping[str, Paths]],
    annotations: Mapping[str, str | Path],
    statistics: Mapping[str, str | Path],
    vocabulary: str | Path,
    trained_on: Sequence[Mapping[str, Any]],
    model_folder: str | Path,
    history: str | Path,
    resume_folder: str | Path,
    threads: int,
    code: str = "",
) -> None:
    """Train, and write the model folder (the best epoch's weights) and the history.

    Args:
        system: its name.
        settings: its resolved settings; `family`, `model` and `training` are used.
        seed: of weights, order, dropout and augmentation.
        features: front-end -> split -> shards.
        annotations: split -> table. Split "validation" may be absent.
        statistics: front-end -> file, of the development split.
        vocabulary: its file.
        trained_on: what the description of the model says of its data.
        model_folder: written at the end.
        history: CSV, written after every epoch.
        resume_folder: holds the state of the unfinished training; removed at the end. A training
            with the same inputs that was killed continues from it, exactly.
        threads: of a training on a CPU.
        code: digest of the code; a state that other code left is not continued from.

    Raises:
        InputError: a clip without features, a word outside the vocabulary, no captions to train
            on, a caption too long for the model, a training that diverges.
    """
    device = prepare_process(seed, threads)
    words = Vocabulary.load(vocabulary)
    moments = {frontend: Statistics.load(path) for frontend, path in statistics.items()}
    splits = {
        split: load_clips(
            path,
            {frontend: shards[split] for frontend, shards in features.items()},
            words,
            skip_unknown=split != "development",
        )
        for split, path in annotations.items()
    }
    development = splits["development"]
    if not len(development):
        raise InputError(
            f"{annotations['development']}: found no clip with captions, expected some to train on."
        )
    validation = splits.get("validation") or None
    stores = development.stores
    model = build_model(
        settings["family"],
        settings["model"],
        {frontend: store.n_features for frontend, store in stores.items()},
        len(words),
        words.sos,
        words.eos,
    )
    model.set_normalisation({name: (part.mean, part.std) for name, part in moments.items()})
    model.to(device)
    log.info(
        "%s, seed %d: %d parameters, %d clips, %d captions, on %s",
        *(system, seed, model.n_parameters(), len(development), len(development.pairs()), device),
    )
    frontends = {frontend: store.settings for frontend, store in stores.items()}
    inputs = {
        "family": settings["family"],
        "model": settings["model"],
        "training": settings["training"],
        "seed": seed,
        "frontends": frontends,
        "statistics": {k: [v.n, v.mean.tolist(), v.m2.tolist()] for k, v in moments.items()},
        "tokens": words.tokens,
        "splits": {split: _contents(clips) for split, clips in splits.items()},
        "code": code,
    }
    resume = ResumeFile(Path(resume_folder), digest(inputs))
    trainer = Trainer(
        model,
        development,
        validation,
        words,
        settings["training"],
        {frontend: part.mean for frontend, part in moments.items()},
        seed,
    )
    state = trainer.run(resume, Path(history))
    description = {
        "title": settings.get("title", system),
        "system": system,
        "frontends": frontends,
        "settings": settings,
        "trained_on": list(trained_on),
        "seed": seed,
        "best": state.history[state.best_epoch - 1],
    }
    save_model(model_folder, model, words, description)
    resume.remove()


def _contents(clips: CaptionedClips) -> list[Any]:
    """Give what identifies a split's clips; the values of features are in the statistics."""
    return [
        [name, captions, [store.n_frames(name) for store in clips.stores.values()]]
        for name, captions in zip(clips.names, clips.captions, strict=True)
    ]
