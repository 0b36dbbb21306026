"""A folder in which everything is there that the pages name: a clone of the project and more."""

import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import yaml

from captioner.audio.frontends import build_frontend
from captioner.corpus.tables import Clip
from captioner.decoding.captions import N_BEST_SCHEMA
from captioner.evaluation.metrics import METRIC_SETS
from captioner.evaluation.score import Scores, clip_table, write_clip_table
from captioner.models.checkpoint import save_model
from captioner.settings import read_yaml
from captioner.store.writing import write_shard
from good_package import CLIPS, PDF, good_files, write_zip
from small_models import FRONTEND, small_model
from tiny import clone_project, write_corpus

SAMPLE_RATE_HZ = 8000
SOUNDS = ("rain.wav", "dog.flac", "walk.mp3", "recordings/a.ogg")
MODELS = (
    "model",
    "results/synthetic/systems/transformer_small/seed1/model",
    "results/clotho-v2.1/systems/baseline/seed1/model",
)
REFERENCES = {  # Two clips: CIDEr of one is zero.
    "rain.wav": ["Rain falls on a roof.", "It rains on a tin roof"],
    "dog.flac": ["A dog barks twice.", "Somewhere a dog barks"],
}
PREDICTIONS = {"rain.wav": "rain falls on a tin roof", "dog.flac": "a dog barks"}
LEARNED = {
    "settings": {"training": {}, "pretrained": {}},
    "trained_on": [{"corpus": "clotho-v2.1", "split": "development", "n_clips": 3839}],
}
RESULTS = {
    "bleu_1": 0.378, "bleu_2": 0.119, "bleu_3": 0.05, "bleu_4": 0.017, "rouge_l": 0.263,
    "meteor": 0.078, "cider": 0.075, "spice": 0.028, "spider": 0.051,
}  # fmt: skip


@dataclass
class World:
    """The folder, and a process that starts programs in it."""

    folder: Path
    process: subprocess.Popen[str]

    def run(self, arguments: list[str], **program: Any) -> tuple[int, str]:
        """Run `module=` or `path=`, in an `environment=`: exit code, and both output streams."""
        request = {"arguments": arguments, "folder": str(self.folder), **program}
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["exit_code"], answer["output"]


def make_world(repository: Path, folder: Path) -> World:
    """Write the files and start the process."""
    clone_project(repository, folder)
    if (java := repository / "resources/java").is_dir():
        (folder / "resources/java").symlink_to(java)
    write_corpus(folder / "mine")
    write_inputs(folder)
    script = str(Path(__file__).with_name("forked.py"))
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, script], stdin=pipe, stdout=pipe, text=True)
    return World(folder, process)


def write_inputs(folder: Path) -> None:
    """Write what commands read, anew for each page: commands write too."""
    _write_sounds_and_models(folder)
    _write_scored(folder)
    _write_submission(folder)
    own = {"corpus": "mine/tiny.yaml", "systems": ["transformer_small", "nearest_clip"]}
    for name in ("my.yaml", "mine/config.yaml"):
        (folder / name).write_text(yaml.safe_dump(own), encoding="utf-8")


def _write_sounds_and_models(folder: Path) -> None:
    settings = read_yaml(folder / "config/frontends" / f"{FRONTEND}.yaml")
    loaded = small_model("conv_transformer", settings["n_mels"], settings)
    for name in MODELS:
        description = {**loaded.description, **LEARNED}
        save_model(folder / name, loaded.model, loaded.vocabulary, description)
    (folder / "recordings").mkdir(exist_ok=True)
    noise = 0.1 * np.random.default_rng(1).standard_normal(SAMPLE_RATE_HZ)
    for name in SOUNDS:
        soundfile.write(folder / name, noise, SAMPLE_RATE_HZ)
    clip = Clip("rain.wav", str(folder / "rain.wav"), 0, 1.0, SAMPLE_RATE_HZ, 1)
    write_shard([clip], 0, 1, build_frontend(settings), folder / "0.parquet")


def _write_scored(folder: Path) -> None:
    width = range(1, 1 + max(map(len, REFERENCES.values())))
    references = [[name, *captions] for name, captions in REFERENCES.items()]
    predictions = [["file_name", "caption_predicted"], *PREDICTIONS.items()]
    header = ["file_name", *(f"caption_{n}" for n in width)]
    for name in ("references.csv", "REFERENCES.csv"):
        _write_csv(folder / name, [header, *references])
    many = [[f"{n} {name}", *captions] for n in range(10) for name, *captions in references]
    _write_csv(folder / "captions.csv", [header, *many])
    for name in ("predictions.csv", "PREDICTIONS.csv"):
        _write_csv(folder / name, predictions)
    rows = [
        {"file_name": name, "rank": 0, "caption": caption, "score": -1.0, "expected_cider_d": None}
        for name, caption in PREDICTIONS.items()
    ]
    table = pa.Table.from_pylist(rows, schema=N_BEST_SCHEMA)
    pq.write_table(table, folder / "captions.parquet")
    for shift, names in enumerate((("mine", "A"), ("theirs", "B"))):
        per_clip = {
            name: dict.fromkeys(METRIC_SETS["dcase2021"], 0.1 + 0.1 * shift) for name in REFERENCES
        }
        corpus = dict.fromkeys(METRIC_SETS["dcase2021"], 0.0)
        bleu = [[4, 3, 2, 1, 5, 4, 3, 2, 5, 5]] * len(per_clip)
        meteor = [[5.0, 5, 1, 1, 3, 3, 1, 1, *[0] * 12, 1, 4, 4]] * len(per_clip)
        table = clip_table(Scores(corpus, per_clip, [], bleu, meteor, {}))
        for name in names:
            write_clip_table(folder / f"{name}.parquet", table)


def _write_submission(folder: Path) -> None:
    write_zip(folder / "PACKAGE.zip", good_files())
    (folder / "report.pdf").write_bytes(PDF)
    rows = "".join('"' + name.replace('"', '""') + '";"rain"\n' for name in CLIPS)
    (folder / "clotho_metadata_test.csv").write_text(f"file_name;keywords\n{rows}", "utf-8")
    (folder / "scores.json").write_text(json.dumps(RESULTS))


def _write_csv(path: Path, rows: list[Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
