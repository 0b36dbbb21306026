"""docs/new-system.md, as a reader follows it: trained, decoded, and nothing else reruns."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from documented import put_in_place, split_page

from tiny import CLIPS, CONFIG, Project, changed_config

PAGE = "docs/new-system.md"
NAME = "gru_transformer"


@pytest.fixture
def followed(finished: Project, repository: Path) -> Iterator[Project]:
    """The finished project with the page's files and registry line; taken out again."""
    before = put_in_place(split_page(repository / PAGE, repository)[0], finished.clone)
    assert len(before) == 3
    yield finished
    for path, text in before.items():
        if text is None:
            path.unlink()
        else:
            path.write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_a_reader_gets_captions_and_no_other_result_is_stale(followed: Project) -> None:
    assert followed.would_run() == {}  # a family more
    system = {"name": NAME, "training": {"epochs": 2}}
    with changed_config(CONFIG, followed, "systems", value=[*CONFIG["systems"], system]):
        captions = f"results/tiny/systems/{NAME}/seed1/captions/beam3/evaluation.csv"
        found = followed.would_run(captions)
        assert found == {"train_system": 1, "decode_split": 1}
        followed.snakemake(captions)
    with (followed.folder / captions).open(encoding="utf-8", newline="") as file:
        assert sorted(name for name, _ in list(csv.reader(file))[1:]) == sorted(CLIPS["evaluation"])
    model = followed.result(f"systems/{NAME}/seed1/model/model.json")
    assert json.loads(model.read_text())["dims"]["keep_every"] == 8
