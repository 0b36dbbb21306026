"""What a training step of each system costs: CPU seconds of one core, on batches as in training.

    PYTHONPATH=src python benchmarks/bench_steps.py

Clips of 22.5 s of noise, captions of 8 to 20 words, dropout on: forward, backward and optimizer.
`bench_training.py` compares two of them with the arithmetic that others use.
"""

import argparse
import time

import torch

from training_steps import build_system, make_batch, stepper

CLIP_S = 22.5
FRONTENDS = {  # values, seconds between frames
    "logmel-dcase": (64, 1024 / 44100),
    "logmel-panns": (64, 320 / 32000),
    "convnext_tiny": (768, 0.32),
    "cnn14": (2048, 0.32),
    "cnn10": (512, 0.16),
}
SYSTEMS = {  # front-end, clips, captions of each
    "baseline": ("logmel-dcase", 16, 1),
    "transformer_small": ("logmel-dcase", 8, 3),
    "crnn_attention": ("logmel-dcase", 16, 5),
    "convnext_transformer": ("convnext_tiny", 64, 1),
    "cnn14_transformer": ("cnn14", 64, 1),
    "cnn10_transformer": ("cnn10", 64, 1),
    "cnn10_finetuned": ("logmel-panns", 2, 5),
}


def main() -> None:
    """Print a row per system."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=f"of {', '.join(SYSTEMS)}")
    parser.add_argument("--steps", type=int, default=5, help="the median of which (default 5)")
    arguments = parser.parse_args()
    if unknown := set(arguments.systems) - set(SYSTEMS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    print("| system | clips x captions | CPU s | pairs per CPU s |\n|---|---|---|---|")
    for name in arguments.systems or SYSTEMS:
        _, n_clips, n_captions = SYSTEMS[name]
        seconds = step_cost(name, arguments.steps)
        rate = n_clips * n_captions / seconds
        row = f"| `{name}` | {n_clips} x {n_captions} | {seconds:.2f} | {rate:.3g} |"
        print(row, flush=True)


def step_cost(name: str, n_steps: int) -> float:
    """Give the median CPU seconds of a step, after one to warm up."""
    frontend, n_clips, n_captions = SYSTEMS[name]
    n_features, hop_s = FRONTENDS[frontend]
    torch.manual_seed(1)
    model = build_system(name, frontend, n_features).train()
    random = torch.Generator().manual_seed(1)
    n_frames = int(CLIP_S / hop_s)
    features = torch.randn(n_clips, n_frames, n_features, generator=random)
    batch = make_batch({frontend: features}, [n_frames] * n_clips, n_captions, random)
    step = stepper(model, name, "float32", torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    costs = []
    for _ in range(n_steps + 1):
        started = time.process_time()
        step.take([batch], [generator])
        costs.append(time.process_time() - started)
    return sorted(costs[1:])[n_steps // 2]


if __name__ == "__main__":
    main()
