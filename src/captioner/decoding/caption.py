"""Caption audio files with a trained system's folder and nothing else."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from captioner.audio.frontends import FrontEnd, build_frontend, frontend_features
from captioner.decoding.decode import decode_batches
from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError
from captioner.models.checkpoint import LoadedModel, encoder_weights, load_model


def caption_files(
    model_folder: str | Path, files: Iterable[str], options: DecodingOptions
) -> Iterator[tuple[str, str | InputError]]:
    """Give (file, caption) in the order of `files`; for one that cannot be read, the error.

    Works through `batch_size` files at a time. Raises `InputError` at once for a bad model folder.
    """
    loaded = load_model(model_folder)
    frontends = {
        name: build_frontend(settings, encoder_weights(model_folder, name, settings))
        for name, settings in loaded.description["frontends"].items()
    }
    return _caption(loaded, frontends, iter(files), options)


def _caption(
    loaded: LoadedModel,
    frontends: Mapping[str, FrontEnd],
    files: Iterator[str],
    options: DecodingOptions,
) -> Iterator[tuple[str, str | InputError]]:
    while batch := list(islice(files, options.batch_size)):
        yield from zip(batch, _caption_batch(loaded, frontends, batch, options), strict=True)


def _caption_batch(
    loaded: LoadedModel,
    frontends: Mapping[str, FrontEnd],
    batch: Sequence[str],
    options: DecodingOptions,
) -> list[str | InputError]:
    features: dict[str, dict[str, np.ndarray]] = {name: {} for name in frontends}
    results: dict[str, str | InputError] = {}
    places = [str(place) for place in range(len(batch))]  # the keys: a file may be named twice
    for place, file in zip(places, batch, strict=True):
        try:
            of_file = {name: frontend_features(built, file) for name, built in frontends.items()}
        except InputError as error:
            results[place] = error
            continue
        for name, values in of_file.items():
            features[name][place] = values
    readable = [place for place in places if place not in results]
    for hypotheses in decode_batches(loaded, features, readable, options):
        for place, found in hypotheses.items():
            results[place] = loaded.vocabulary.decode(found[0].tokens) if found else ""
    return [results[place] for place in places]
