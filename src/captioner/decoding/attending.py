"""Where in a clip each word of its caption looked: the attention of the decoder, in seconds.

A caption that is there is fed to the model once (teacher forcing), after its clip: what the model
looks at then is, number by number, what it looked at when it chose those words.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from captioner.audio.timing import FrameTimes, frame_times
from captioner.decoding.attended import Attended
from captioner.decoding.decode import Features, count_frames, encode_batches
from captioner.errors import InputError
from captioner.job import Progress
from captioner.models.checkpoint import LoadedModel
from captioner.models.interface import Attentive, Axis
from captioner.text.vocabulary import Vocabulary

BATCH_SIZE = 32  # clips


def attend(
    loaded: LoadedModel, features: Features, captions: Mapping[str, str]
) -> dict[str, Attended]:
    """Say where each word of a model's own `captions`, by file name, looked in its clip.

    Raises `InputError` for a model that does not attend, for captions with words that it does not
    have, for clips without features, and for a front-end whose frames have no known times.
    """
    model = loaded.model
    if not isinstance(model, Attentive):
        raise InputError(f"attention: found a model of the family {model.family}, which has none.")
    times = {f: frame_times(s) for f, s in loaded.description["frontends"].items()}
    start = loaded.vocabulary.start(loaded.description.get("task_token"))
    words = {file_name: tuple(caption.split()) for file_name, caption in captions.items()}
    tokens = _tokens(loaded.vocabulary, words)
    found: dict[str, Attended] = {}
    with Progress(len(captions), "Attention", "clip") as progress:
        for batch, memory in encode_batches(loaded, features, list(captions), BATCH_SIZE):
            length = max(1, *(len(tokens[file_name]) for file_name in batch))
            fed = torch.full((len(batch), length), start)
            for row, file_name in zip(fed, batch, strict=True):
                before = tokens[file_name][:-1]  # each word's own is fed after it was chosen
                row[1 : 1 + len(before)] = torch.tensor(before)
            with torch.inference_mode():
                embedded = model.embed(fed.to(memory.values.device))
                weights = model.attended(memory, embedded).float().cpu().numpy()
            valid = memory.mask.cpu().numpy()
            for file_name, of_clip, own in zip(batch, weights, valid, strict=True):
                n_frames = {f: count_frames(features[f], file_name) for f in times}
                rows = of_clip[: len(words[file_name])][:, own]
                on_axis = _on_one_axis(rows, model.axes(n_frames), times)
                found[file_name] = Attended(words[file_name], *on_axis)
            progress.advance(len(batch))
    return {file_name: found[file_name] for file_name in captions}


def _tokens(vocabulary: Vocabulary, words: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Give the index of each word."""
    index = {token: i for i, token in enumerate(vocabulary.tokens)}
    for file_name, of_clip in words.items():
        for word in of_clip:
            if word not in index:
                raise InputError(
                    f"attention: found the word {word!r} in the caption of {file_name!r}, expected "
                    "words of the model's vocabulary. Decode the clips with this model again."
                )
    return {file_name: [index[word] for word in of_clip] for file_name, of_clip in words.items()}


def _on_one_axis(
    weights: np.ndarray, axes: Sequence[Axis], times: Mapping[str, FrameTimes]
) -> tuple[float, float, np.ndarray]:
    """Give the start and the length of bins, and weights (n_words, n_bins).

    `weights` are those of the valid positions. The bins are the positions of the finest axis; what
    is attended to on other axes is added where it overlaps them. Nothing gets lost: the outermost
    bins take what lies beyond.
    """
    spans = []  # start, length and number of an axis' positions
    for axis in axes:
        on = times[axis.frontend]
        length = axis.step * on.hop_s
        spans.append((on.middle_s(axis.first) - length / 2, length, axis.n_positions))
    start_s, bin_s, n_bins = min(spans, key=lambda span: span[1])
    inner = start_s + bin_s * np.arange(1, n_bins)
    binned = np.zeros((len(weights), n_bins), np.float32)
    parts = np.split(weights, np.cumsum([n for *_, n in spans])[:-1], axis=1)
    for part, (start, length, n) in zip(parts, spans, strict=True):
        if (start, length, n) == (start_s, bin_s, n_bins):
            binned += part
            continue
        edges = start + length * np.arange(n + 1)
        for row, of_word in zip(binned, part, strict=True):
            reached = np.concatenate([[0.0], np.cumsum(of_word)])
            between = np.interp(inner, edges, reached)
            row += np.diff(between, prepend=0.0, append=reached[-1])
    return start_s, bin_s, binned
