"""Time from the shell to the first caption of a 30 s clip, against a bare `import torch`.

The two take turns as processes of their own: imports, model, audio and decoding included. The
system is a convolutional transformer of the demo's size with random weights and log-mels of
44.1 kHz.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import soundfile

DIMS = {"n_channels": [16, 32, 64], "n_hidden": 128, "n_heads": 4, "n_feedforward": 256}
N_WORDS = 370
FRONTEND = Path(__file__).resolve().parents[1] / "config" / "frontends" / "logmel-dcase.yaml"


def make_model(folder: Path) -> None:
    """Write a model folder, as training leaves it."""
    from captioner.models.checkpoint import save_model
    from captioner.models.registry import build_model
    from captioner.settings import read_yaml
    from captioner.text.vocabulary import build_vocabulary

    frontend = read_yaml(FRONTEND)
    settings = {
        "text_rule": "task",
        "order": "frequency",
        "specials": "first",
        "minimum_count": 1,
        "unknown": False,
    }
    words = build_vocabulary([f"word{i}" for i in range(N_WORDS)], settings, [])
    n_features = {"logmel": frontend["n_mels"]}
    model = build_model("conv_transformer", DIMS, n_features, len(words), words.sos, words.eos)
    save_model(folder, model, words, {"frontends": {"logmel": frontend}})


def seconds(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a process; give its wall and CPU seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Take turns and print medians and ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="of both (default 7)")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (default 1)")
    arguments = parser.parse_args()
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    with tempfile.TemporaryDirectory() as folder:
        model, clip = Path(folder, "model"), Path(folder, "clip.wav")
        make_model(model)
        noise = np.random.default_rng(1).normal(scale=0.1, size=30 * 44100)
        soundfile.write(clip, noise.clip(-1, 1), 44100)
        caption = ["-m", "captioner.cli", "caption", "--model", str(model), str(clip)]
        ways = {"import torch": ["-c", "import torch"], "first caption": caption}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for turn in range(arguments.rounds + 1):
            for name, command in ways.items():
                measured = seconds([sys.executable, *command], environment)
                if turn:  # the first warms the file cache
                    found[name].append(measured)
    for place, kind in enumerate(("wall", "CPU")):
        each = [[measured[place] for measured in found[name]] for name in ways]
        ratios = sorted(ours / bare for bare, ours in zip(*each, strict=True))
        print(
            f"{kind:4} import torch {median(each[0]):.2f} s, first caption {median(each[1]):.2f} s,"
            f" ratio {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
