"""Decode clips with a trained system: batches of similar length, on a GPU when there is one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import torch

from captioner.decoding.beam import beam_search
from captioner.decoding.constraints import Constraints
from captioner.decoding.options import DecodingOptions, Hypothesis
from captioner.decoding.reranking import rerank
from captioner.decoding.sampling import sample
from captioner.errors import InputError
from captioner.job import Progress
from captioner.models.checkpoint import LoadedModel
from captioner.models.interface import Memory
from captioner.models.padding import pad

# Front-end -> file name -> (n_frames, n_features)
Features = Mapping[str, Mapping[str, np.ndarray]]


def decode_clips(
    loaded: LoadedModel, features: Features, file_names: Sequence[str], options: DecodingOptions
) -> dict[str, list[Hypothesis]]:
    """Give the best hypotheses of each of `file_names`, in their order, with a progress bar.

    `features` holds the front-ends of the model. Raises `InputError` for a front-end or a clip
    without features, for a repeated file name and for a word that the vocabulary does not hold.
    """
    found: dict[str, list[Hypothesis]] = {}
    with Progress(len(file_names), "Decoding", "clip") as progress:
        search = replace(options, rerank="none")
        for batch in decode_batches(loaded, features, file_names, search):
            found.update(batch)
            progress.advance(len(batch))
    found = {file_name: found[file_name] for file_name in file_names}
    return rerank(found, options) if options.rerank == "mbr" else found


def decode_batches(
    loaded: LoadedModel, features: Features, file_names: Sequence[str], options: DecodingOptions
) -> Iterator[dict[str, list[Hypothesis]]]:
    """Give the hypotheses batch by batch, short clips first; see `decode_clips`.

    Raises `InputError` for reranking too, which compares all clips.
    """
    if options.rerank != "none":
        raise InputError(
            f"decoding option rerank: found {options.rerank!r} for clips decoded one by one, "
            "expected 'none': it needs all clips of a split. Set it in the config's `decodings`."
        )
    model, vocabulary = loaded.model, loaded.vocabulary
    start = vocabulary.start(loaded.description.get("task_token"))
    constraints = Constraints.of(options, vocabulary)
    for batch, memory in encode_batches(loaded, features, file_names, options.batch_size):
        prefix = torch.full((len(batch), 1), start, device=memory.values.device)
        if options.samples:
            hypotheses = sample(model, memory, prefix, options, constraints, batch)
        else:
            hypotheses = beam_search(model, memory, prefix, options, constraints)
        yield dict(zip(batch, hypotheses, strict=True))


def encode_batches(
    loaded: LoadedModel, features: Features, file_names: Sequence[str], batch_size: int
) -> Iterator[tuple[list[str], Memory]]:
    """Give batches of clips of similar length, short ones first, and what the model makes of them.

    On a GPU when there is one. Raises `InputError` as `decode_clips` does, but for words.
    """
    model = loaded.model
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    sources = _sources(loaded, features)
    lengths = _lengths(sources, file_names)
    for batch in _batches(lengths, batch_size, model.equal_lengths):
        with torch.inference_mode():
            padded = {
                name: pad([source[file_name] for file_name in batch], model.padding)
                for name, source in sources.items()
            }
            memory = model.encode(
                {name: features.to(device) for name, (features, _) in padded.items()},
                {name: n_frames.to(device) for name, (_, n_frames) in padded.items()},
            )
        yield batch, memory


def _sources(loaded: LoadedModel, features: Features) -> dict[str, Mapping[str, np.ndarray]]:
    """Give the features of the model's front-ends, in the model's order."""
    missing = [name for name in loaded.description["frontends"] if name not in features]
    if missing:
        raise InputError(
            f"features: found the front-ends {', '.join(features) or '(none)'}, expected also "
            f"{', '.join(missing)}, which the model was trained on."
        )
    return {name: features[name] for name in loaded.description["frontends"]}


def _lengths(
    sources: Mapping[str, Mapping[str, np.ndarray]], file_names: Sequence[str]
) -> dict[str, tuple[int, ...]]:
    """Give file name -> number of frames in each front-end."""
    lengths: dict[str, tuple[int, ...]] = {}
    for file_name in file_names:
        if file_name in lengths:
            raise InputError(
                f"clips: found {file_name!r} twice, expected every clip once. Rename one of them."
            )
        for name, source in sources.items():
            if file_name not in source:
                raise InputError(
                    f"features {name}: found none for {file_name!r}, expected every clip's. "
                    "Run the target `features` again."
                )
        lengths[file_name] = tuple(count_frames(source, file_name) for source in sources.values())
    return lengths


def count_frames(source: Mapping[str, np.ndarray], file_name: str) -> int:
    """Give a clip's number of frames; a `FeatureStore` reads none of them for it."""
    if n_frames := getattr(source, "n_frames", None):
        return int(n_frames(file_name))
    return len(source[file_name])


def _batches(
    lengths: Mapping[str, tuple[int, ...]], batch_size: int, equal_lengths: bool
) -> Iterator[list[str]]:
    """Cut the clips, sorted by length, into batches; of one length each if `equal_lengths`."""
    by_length = sorted(lengths, key=lambda file_name: lengths[file_name])
    groups = groupby(by_length, key=lambda file_name: equal_lengths and lengths[file_name])
    for _, group in groups:
        together = list(group)
        for start in range(0, len(together), batch_size):
            yield together[start : start + batch_size]
