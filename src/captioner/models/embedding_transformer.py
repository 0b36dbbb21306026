"""A small Transformer decoder on the stored embeddings of frozen encoders: the .30 recipe.

Published with ConvNeXt-Tiny, 11.9 M trained parameters (`transformer_captioner` names the paper).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from captioner.errors import InputError
from captioner.models.convolution import frame_mask
from captioner.models.interface import Axis, Memory
from captioner.models.transformer_captioner import FrameCaptioner, FrameDims


@dataclass(frozen=True, kw_only=True)
class EmbeddingTransformerDims(FrameDims):
    """Dims of the decoder on stored embeddings, of one front-end or of several."""

    family: ClassVar[str] = "embedding_transformer"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.n_features:
            raise InputError("found no front-end; expected one or more in `frontends`")

    def frontends(self) -> list[str]:
        """Name the front-ends in the order of their projections."""
        return sorted(self.n_features)


class EmbeddingTransformer(FrameCaptioner):
    """Frames of each front-end are projected on their own and stand one after the other."""

    Dims = EmbeddingTransformerDims
    family = EmbeddingTransformerDims.family
    dims: EmbeddingTransformerDims

    def __init__(self, dims: EmbeddingTransformerDims):
        super().__init__(dims)
        self.projections = nn.ModuleList(
            self.projection(dims.n_features[frontend]) for frontend in dims.frontends()
        )

    def encode(self, features: Mapping[str, Tensor], n_frames: Mapping[str, Tensor]) -> Memory:
        """Project the frames: as many positions as frames, of all front-ends together."""
        values, masks = [], []
        for frontend, projection in zip(self.dims.frontends(), self.projections, strict=True):
            values.append(projection(features[frontend]))
            masks.append(frame_mask(n_frames[frontend], features[frontend].shape[1]))
        return Memory(torch.cat(values, dim=1), torch.cat(masks, dim=1))

    def axes(self, n_frames: Mapping[str, int]) -> list[Axis]:
        """Place the memory's positions: the frames of each front-end."""
        return [Axis.pooled(frontend, n_frames[frontend], 1) for frontend in self.dims.frontends()]


MODEL = EmbeddingTransformer
