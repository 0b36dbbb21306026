"""Where each word of a caption looked, as data that the listening section loads when it is asked.

A page opened from disk cannot fetch JSON, so the data are scripts, a file for `CLIPS_PER_FILE`
clips of a run, `data/attention-RUN-FILE.js`: 1,045 clips of five systems stay below 2.5 MB. A clip
is `[start_s, bin_s, n_bins, peaks, cells]`, or null where its caption is empty. `cells` are levels
from 0 to 15, word by word, two to a byte, in base64: level k says that a word looked there
`DARKEST` * (k / 15)**2 times as much as it would have, looking at all bins alike. `peaks` has a
letter per word, the base64 digit of the bin where it looked most beside the caption's other words.
"""

import base64
import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from captioner.decoding.attended import Attended, read_attention
from captioner.reporting.listening import Listening

CLIPS_PER_FILE = 50
MOST_BINS = 60  # half a second in a clip of 30 s, and each has a letter
LEVELS = 15  # the next shade could hardly be told from a cell's with more
# Times an even look. One scale for all clips and systems, of square roots: a third or more of all
# attention rests on a clip's first and last moments, beside which the rest would be blank.
DARKEST = 16
LITTLE = 0.1  # times an even look: less than that tells no words apart
LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"


def write_attention_data(
    attention: Mapping[str, Path], listening: Listening, folder: Path
) -> dict[str, Any]:
    """Write the data of the runs that have any into the report's `folder`.

    `attention` is identifier of a run -> file of `captioner.decoding.attended.write_attention`.

    Returns:
        What the page has to know: `runs`, the numbers of those runs, and `size`, clips per file.
    """
    (folder / "data").mkdir(parents=True, exist_ok=True)
    names = [clip.file_name for clip in listening.clips]
    runs = []
    for number, run in enumerate(listening.runs):
        if run.identifier not in attention:
            continue
        runs.append(number)
        attended = read_attention(attention[run.identifier])
        for part, start in enumerate(range(0, len(names), CLIPS_PER_FILE)):
            rows = [page_row(attended.get(n)) for n in names[start : start + CLIPS_PER_FILE]]
            text = json.dumps(rows, separators=(",", ":"))
            path = folder / f"data/attention-{number}-{part}.js"
            path.write_text(f"receiveAttention({number},{part},{text});\n", encoding="ascii")
    return {"runs": runs, "size": CLIPS_PER_FILE}


def page_row(attended: Attended | None) -> list[Any] | None:
    """Give the data of one clip; neighbouring bins are added up where there are too many."""
    if attended is None or not attended.words:
        return None
    n_bins = attended.weights.shape[1]
    together = -(-n_bins // MOST_BINS)
    weights = np.add.reduceat(attended.weights, np.arange(0, n_bins, together), axis=1)
    times_even = weights * weights.shape[1]
    levels = np.round(LEVELS * np.sqrt(np.minimum(times_even / DARKEST, 1))).astype(np.uint8)
    cells = np.append(levels, np.zeros(levels.size % 2, np.uint8)).reshape(-1, 2)
    packed = (cells[:, 0] << 4 | cells[:, 1]).tobytes()
    return [
        round(attended.start_s, 3),
        round(attended.bin_s * together, 4),
        weights.shape[1],
        "".join(LETTERS[peak] for peak in peaks(times_even)),
        base64.b64encode(packed).decode("ascii"),
    ]


def peaks(times_even: np.ndarray) -> np.ndarray:
    """Give the bin (n_words,) where each word looked most beside the other words of the caption.

    Words that need no sound rest on the first or the last bin, and so does a part of all others. On
    synthetic clips of two sounds in succession, 73 to 80 % of the words for one of them look most
    at its half by this measure, and 57 to 66 % by the plain maximum (four models; even: 49 %).

    Args:
        times_even: weights (n_words, n_bins), times n_bins.
    """
    return (times_even / (times_even.mean(axis=0) + LITTLE)).argmax(axis=1)
