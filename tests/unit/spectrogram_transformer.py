"""An encoder of a third kind: a small audio spectrogram Transformer, untrained, in one file."""

import torch
from torch import nn

from captioner.audio.encoders.frontend import build_encoder
from captioner.audio.encoders.network import N_CLASSES, AudioSetNetwork


class SpectrogramTransformer(AudioSetNetwork):
    """Patches of 16 frames x 64 bands, two layers of self-attention, a mean over the clip."""

    n_mels = 64
    n_features = 48
    stride = 16
    n_frames_min = 16
    context = None  # attention sees the whole clip

    def __init__(self):
        super().__init__()
        self.patches = nn.Linear(self.stride * self.n_mels, self.n_features)
        layer = nn.TransformerEncoderLayer(self.n_features, 4, 96, dropout=0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(self.n_features, N_CLASSES)

    def rearrange(self):
        """Leave the weights as they are."""

    def n_embeddings(self, n_frames):
        return n_frames // self.stride

    def forward(self, log_mels, n_frames):
        n = self.n_embeddings(log_mels.shape[1])
        patches = log_mels[:, : n * self.stride].reshape(len(log_mels), n, -1)
        n_kept = torch.tensor([self.n_embeddings(frames) for frames in n_frames])
        padding = torch.arange(n) >= n_kept[:, None]  # (B, n)
        return self.layers(self.patches(patches), src_key_padding_mask=padding)

    def probabilities(self, embeddings):
        return self.head(embeddings.mean(0)).sigmoid()


def build(settings, weights=None):
    return build_encoder(SpectrogramTransformer, settings, weights)
