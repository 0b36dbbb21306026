"""The score of a validation split after an epoch, from the memory that its loss was computed on."""

import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from captioner.decoding.beam import beam_search
from captioner.decoding.constraints import Constraints
from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError
from captioner.evaluation.cider import CiderD
from captioner.evaluation.parses import ParseCache
from captioner.evaluation.spice import spice_scores
from captioner.evaluation.spoken import TIMEOUT_S, tokenize_once
from captioner.models.interface import Captioner, Memory
from captioner.models.padding import pad
from captioner.text.vocabulary import Vocabulary
from captioner.training.sources import CaptionedClips

SPICE_MEMORY_MB = 4096


class CaptionScorer:
    """Captions the clips of a split greedily, and scores them as the official tools would.

    `cider` is computed in process, exactly; with `monitor` "spider" SPICE's Java tools run too:
    `java_folder` holds their jars, `cache_folder` the parses that are kept. The captions are those
    of the decoding `greedy`: a model that padding changes decodes clips of equal lengths only, and
    encodes them for itself.
    """

    def __init__(
        self,
        clips: CaptionedClips,
        vocabulary: Vocabulary,
        monitor: str,
        *,
        java_folder: str | Path | None = None,
        cache_folder: str | Path | None = None,
        threads: int = 1,
    ):
        """Tokenise the references once.

        Raises `InputError` if a Java tool fails, or is needed and not given.
        """
        if monitor == "spider" and java_folder is None:
            raise InputError(
                "training: monitor: found spider without SPICE's jars, expected their folder. "
                "Train through the workflow, which fetches them, or monitor cider."
            )
        self._clips = clips
        self._options = DecodingOptions()
        self._constraints = Constraints.of(self._options, vocabulary)
        self._spoken = tokenize_once(clips.texts, vocabulary)
        self._cider = CiderD(self._spoken.references)
        self._java_folder = Path(java_folder) if java_folder and monitor == "spider" else None
        self._cache = ParseCache(cache_folder) if cache_folder else None
        self._threads = threads
        self._model: Captioner | None = None
        self._waiting: list[tuple[list[int], Memory]] = []
        self._captions: dict[int, str] = {}  # of this epoch: clip -> tokens

    def add(self, model: Captioner, memory: Memory, clips: Sequence[int]) -> None:
        """Caption the clips that `memory` is of; each once an epoch, however often it comes."""
        self._model = model
        if model.equal_lengths:
            return
        known = {*self._captions, *(clip for waiting, _ in self._waiting for clip in waiting)}
        new = {clip: row for row, clip in enumerate(clips) if clip not in known}
        if not new:
            return
        if len(new) < len(clips):
            rows = torch.tensor(list(new.values()), device=memory.values.device)
            memory = memory.select(rows)
        self._waiting.append((list(new), memory))
        if sum(len(waiting) for waiting, _ in self._waiting) >= self._options.batch_size:
            self._decode_waiting(model)

    def result(self) -> dict[str, float]:
        """Give the scores of the split, and begin anew.

        Clips that no memory came of are encoded first.
        """
        if self._model is not None:
            self._decode_waiting(self._model)
            for batch in self._missing(self._model.equal_lengths):
                self._encode_and_decode(self._model, batch)
        captions = [self._captions[clip] for clip in range(len(self._clips))]
        self._captions, self._model = {}, None
        cider = self._cider.scores(range(len(captions)), captions)
        scores = {"cider": float(cider.mean())}
        if self._java_folder is not None:
            with tempfile.TemporaryDirectory(prefix="captioner-spice-") as folder:
                spice = spice_scores(
                    captions,
                    self._spoken.references,
                    Path(folder).resolve(),
                    java_folder=self._java_folder,
                    cache=self._cache,
                    threads=self._threads,
                    memory_mb=SPICE_MEMORY_MB,
                    timeout_s=TIMEOUT_S,
                )
            scores["spider"] = (scores["cider"] + float(np.mean(spice))) / 2
        return scores

    def _missing(self, equal_lengths: bool) -> Iterator[list[int]]:
        """Cut the clips without a caption into batches; of one length each if `equal_lengths`."""
        frontends = list(self._clips.frontends)
        lengths = {
            clip: tuple(self._clips.n_frames(frontend, clip) for frontend in frontends)
            for clip in range(len(self._clips))
            if clip not in self._captions
        }
        by_length = sorted(lengths, key=lambda clip: lengths[clip])
        for _, group in groupby(by_length, key=lambda clip: equal_lengths and lengths[clip]):
            together = list(group)
            for start in range(0, len(together), self._options.batch_size):
                yield together[start : start + self._options.batch_size]

    @torch.no_grad()
    def _encode_and_decode(self, model: Captioner, clips: list[int]) -> None:
        device = next(model.parameters()).device
        features, n_frames = {}, {}
        for frontend in self._clips.frontends:
            values, lengths = pad(
                [self._clips.features(frontend, clip) for clip in clips], model.padding
            )
            features[frontend], n_frames[frontend] = values.to(device), lengths.to(device)
        self._decode(model, model.encode(features, n_frames), clips)

    def _decode_waiting(self, model: Captioner) -> None:
        """Decode together what came in batches of any size: many clips cost little more a step."""
        if self._waiting:
            clips = [clip for waiting, _ in self._waiting for clip in waiting]
            memory = _join([memory for _, memory in self._waiting])
            self._waiting = []
            self._decode(model, memory, clips)

    def _decode(self, model: Captioner, memory: Memory, clips: list[int]) -> None:
        starts = torch.tensor([[self._clips.starts[clip]] for clip in clips])
        starts = starts.to(memory.values.device)
        found = beam_search(model, memory, starts, self._options, self._constraints)
        for clip, hypotheses in zip(clips, found, strict=True):
            best = hypotheses[0].tokens if hypotheses else []
            self._captions[clip] = self._spoken.tokenize(best)


def _join(memories: Sequence[Memory]) -> Memory:
    """Put the clips of several memories together, padded to the longest."""
    longest = max(memory.values.shape[1] for memory in memories)
    values, masks = [], []
    for memory in memories:
        missing = longest - memory.values.shape[1]
        values.append(functional.pad(memory.values, (0, 0, 0, missing)))
        masks.append(functional.pad(memory.mask, (0, missing)))
    return Memory(torch.cat(values), torch.cat(masks))
