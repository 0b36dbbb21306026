"""A loss scale that changes all the time, for tests of trainings with float16."""

import torch

GradScaler = torch.amp.GradScaler


def growing(device, enabled):
    """Double the scale at every second step, until the gradient overflows."""
    return GradScaler(device, init_scale=2.0**24, growth_interval=2, enabled=enabled)


def grow_often(setattr=setattr):
    """Let trainings scale so; `setattr` of a monkeypatch undoes it after the test."""
    setattr(torch.amp, "GradScaler", growing)
