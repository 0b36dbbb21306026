"""Batches and steps of the systems that `bench_training.py` measures."""

import argparse
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from captioner.models.interface import Captioner
from captioner.models.registry import build_model
from captioner.training.batches import Batch
from captioner.training.losses import CrossEntropy
from captioner.training.optimisation import build_optimizer
from captioner.training.precision import Precision
from captioner.training.step import Step, Stepper

SYSTEMS = Path(__file__).parent.parent / "config/systems"
N_TOKENS = 4371  # Clotho v2.1, development
N_CLIPS, N_CAPTIONS = 3839, 19195  # likewise: those of an epoch
CAPTIONS_PER_CLIP = 5
WORDS = (8, 20)  # of a caption
EMBEDDINGS = (47, 94)  # 15 to 30 s at 0.32 s a frame
SOS, EOS = 0, 1


def baseline_batch(arguments: argparse.Namespace, n_captions: int) -> Batch:
    """Make a batch of clips of equal length with `n_captions` each."""
    random = torch.Generator().manual_seed(1)
    features = torch.randn(arguments.batch_size, arguments.frames, 64, generator=random)
    return make_batch({"logmel": features}, [arguments.frames] * len(features), n_captions, random)


def make_batch(
    features: dict[str, Tensor], n_frames: list[int], n_captions: int, random: torch.Generator
) -> Batch:
    """Make a batch with random captions, as many of each clip."""
    n_rows = n_captions * len(n_frames)
    n_targets = torch.randint(WORDS[0] + 1, WORDS[1] + 2, (n_rows,), generator=random)
    tokens = torch.randint(2, N_TOKENS, (n_rows, int(n_targets.max())), generator=random)
    ended = torch.arange(tokens.shape[1]) >= n_targets[:, None] - 1
    targets = tokens.masked_fill(ended, EOS)
    return Batch(
        list(range(len(n_frames))),
        features,
        {frontend: torch.tensor(n_frames) for frontend in features},
        None,
        torch.cat([torch.full((n_rows, 1), SOS), targets[:, :-1]], dim=1),
        targets,
        n_targets,
        int(n_targets.sum()),
        1.0,
    )


def build_system(name: str, frontend: str, n_features: int, **changes: Any) -> Captioner:
    """Build a system's model of random weights; `changes` to its settings."""
    settings = system_settings(name)
    model = settings["model"] | changes
    return build_model(settings["family"], model, {frontend: n_features}, N_TOKENS, SOS, EOS)


def system_settings(name: str) -> dict[str, Any]:
    """Read a system's file."""
    return yaml.safe_load((SYSTEMS / f"{name}.yaml").read_text(encoding="utf-8"))


def stepper(model: Captioner, name: str, precision: str, device: torch.device) -> Stepper:
    """Give what takes a system's training steps."""
    given = system_settings(name)["training"]
    training = {"weight_decay": 0.0, "betas": [0.9, 0.999], "learning_rates": {}, **given}
    objective = CrossEntropy(
        training.get("padding_in_loss", False), training.get("label_smoothing", 0.0)
    )
    arithmetic = Precision(precision, device)
    step = Step(model, objective, arithmetic)
    optimizer = build_optimizer(model, training)
    return Stepper(step, optimizer, arithmetic, training["gradient_clip_norm"], device)


def embeddings_batch(n_clips: int) -> Batch:
    """Make a batch of clips of frame embeddings with a caption each."""
    random = torch.Generator().manual_seed(1)
    n_frames = torch.randint(EMBEDDINGS[0], EMBEDDINGS[1], (n_clips,), generator=random).tolist()
    features = torch.randn(n_clips, max(n_frames), 768, generator=random)
    return make_batch({"embeddings": features}, n_frames, 1, random)
