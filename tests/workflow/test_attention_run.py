"""Where words looked, in a finished run: for whom there is a file, and what makes it again."""

import os

from captioner.decoding.attended import read_attention
from captioner.evaluation.tables import read_predictions
from tiny import CLIPS, CONFIG, Project, changed_config

RUN = "systems/tiny_transformer/seed1"


def test_only_systems_that_attend_have_a_file_of_the_split_that_is_played(
    finished: Project,
) -> None:
    found = finished.result("systems").glob("*/*/attention/*/*")
    expected = finished.result(f"{RUN}/attention/beam3/evaluation.parquet")
    assert list(found) == [expected]
    captions = read_predictions(finished.result(f"{RUN}/captions/beam3/evaluation.csv"))
    attended = read_attention(expected)
    assert set(attended) == set(CLIPS["evaluation"])
    for file_name, of_clip in attended.items():
        assert " ".join(of_clip.words) == captions[file_name]
        # One convolution of stride 2 on frames 1024 samples apart: bins of 46 ms.
        assert abs(of_clip.bin_s - 2 * 1024 / 44100) < 1e-9
        assert (abs(of_clip.weights.sum(axis=1) - 1) < 0.01).all()  # float16


def test_the_report_has_the_data(finished: Project) -> None:
    files = list(finished.result("report/data").glob("attention-*"))
    assert [path.name for path in files] == ["attention-1-0.js"]  # the second of three runs
    page = finished.result("report/index.html").read_text(encoding="utf-8")
    assert 'const attending = {"runs": [1], "size": 50};' in page


def test_other_captions_are_attended_to_again(finished: Project) -> None:
    with changed_config(CONFIG, finished, "decodings", "beam3", "beam_size", value=5):
        assert finished.would_run()["attend_split"] == 1
    learning_rate = "systems", 0, "training", "learning_rate"
    with changed_config(CONFIG, finished, *learning_rate, value=0.01):  # of the baseline
        assert "attend_split" not in finished.would_run()
    with changed_config(CONFIG, finished, "seeds", value=[1, 2]):
        assert "attend_split" not in finished.would_run()  # the first seed's alone is shown


def test_code_of_attention_decodes_nothing(finished: Project) -> None:
    path = finished.clone / "src/captioner/decoding/attending.py"
    status, text = path.stat(), path.read_text(encoding="utf-8")
    path.write_text(text.replace("BATCH_SIZE = 32", "BATCH_SIZE = 16"), encoding="utf-8")
    try:
        assert finished.would_run() == {"attend_split": 1, "build_report": 1}
    finally:
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
