"""The report as a whole: the page of a small result tree, read back by a parser."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from captioner.errors import InputError
from captioner.reporting.content import ReportContent
from captioner.reporting.report import build_report
from captioner.reporting.scores import interval_text
from captioner.store.shards import FeatureStore
from reporting_tree import (
    FAULT,
    METRICS,
    ODD_NAMES,
    add_systems,
    write_errors,
    write_listening,
    write_tree,
)

VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """The elements of a page with their text, the tables by caption, and the nesting checked."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.texts: dict[str, list[str]] = {}
        self._open: list[tuple[str, list[str]]] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, []))
        if tag == "table":
            self._rows, self._caption = [], f"without caption {len(self.tables)}"
        if tag == "tr":
            self._rows.append([])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        for _, parts in self._open:
            parts.append(data)

    def handle_endtag(self, tag: str) -> None:
        opened, parts = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"
        text = " ".join("".join(parts).split())
        self.texts.setdefault(tag, []).append(text)
        if tag in ("td", "th"):
            self._rows[-1].append(text)
        elif tag == "caption":
            self._caption = text
        elif tag == "table":
            self.tables.setdefault(self._caption, []).extend(self._rows)

    def table(self, start: str) -> list[list[str]]:
        (found,) = [rows for caption, rows in self.tables.items() if caption.startswith(start)]
        return found

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    root = tmp_path_factory.mktemp("tree with spaces")
    content = write_tree(root / "results")
    build_report(content, root / "report")
    return content, root / "report"


@pytest.fixture(scope="module")
def page(tree: tuple[dict[str, Any], Path]) -> Page:
    return Page((tree[1] / "index.html").read_text(encoding="utf-8"))


def test_score_table_has_means_over_seeds_of_the_numbers_of_the_files(
    tree: Any, page: Page
) -> None:
    content, _ = tree
    header, *rows = page.table("Scores on the split evaluation")
    names = "BLEU-1 BLEU-2 BLEU-3 BLEU-4 ROUGE-L METEOR CIDEr SPICE SPIDEr"
    assert " ".join(header[3:12]) == names
    assert [row[0] for row in rows][:3] == [
        "Small Transformer",
        "Typical caption trivial",
        "DCASE 2021 baseline published",
    ]
    assert all(row[0].endswith(" published") for row in rows[3:])
    rows = rows[:3]
    paths = [Path(system["scores"]["evaluation"]["json"]) for system in content["systems"]]
    small, other, typical = (json.loads(path.read_text())["metrics"] for path in paths)
    for cell, metric in zip(rows[0][3:12], METRICS, strict=True):
        mean = (small[metric] + other[metric]) / 2
        half = 12.7062 * abs(small[metric] - other[metric]) / 2  # Student's t of 1 degree: .975
        low, high = interval_text((mean - half, mean + half)).split("–")
        assert cell == f"{mean:.3f} (best), interval {low}–{high}"
    for cell, metric in zip(rows[1][3:12], METRICS, strict=True):
        low, high = interval_text((typical[metric] - 0.02, typical[metric] + 0.03)).split("–")
        assert cell == f"{typical[metric]:.3f}, interval {low}–{high}"
    assert [row[1:3] for row in rows] == [["beam3", "1, 2"], ["–", "–"], ["–", "–"]]
    assert [row[12:] for row in rows] == [["4", "1"], ["4", "0"], ["1 045", "–"]]
    published = ["0.378", "0.119", "0.050", "0.017", "0.263", "0.078", "0.075", "0.028", "0.051"]
    assert rows[2][3:12] == published
    (caption,) = [text for text in page.tables if text.startswith("Scores on the split evaluation")]
    assert "of 2 seeds, the mean and its 95 % Student's t interval over seeds" in caption
    assert "bootstrap over clips" in caption


def test_each_seed_has_a_row_of_its_own(tree: Any, page: Page) -> None:
    content, _ = tree
    _, *rows = page.table("Each seed by itself")
    for row, system in zip(rows, content["systems"][:2], strict=True):
        found = json.loads(Path(system["scores"]["evaluation"]["json"]).read_text())["metrics"]
        assert row[:3] == ["Small Transformer", "beam3", str(system["seed"])]
        assert [cell.split(",")[0] for cell in row[3:12]] == [f"{found[m]:.3f}" for m in METRICS]
        assert all("interval" in cell for cell in row[3:12])
    assert [row[12] for row in rows] == ["0", "1"]


def test_fluency_stands_beside_spider(page: Page) -> None:
    header, *rows = page.table("Fluency and variety of the captions on evaluation")
    assert header[2:] == [
        "SPIDEr",
        "Stuttering captions with a word twice in a row",
        "Repeating captions with a content word twice",
        "Unfinished captions that end in the, and, of ...",
        "Caption length words, mean",
        "Vocabulary distinct words",
        "Coverage of the references' words",
        "Distinct word pairs of all pairs",
    ]
    values = ["12.5 %", "25.0 %", "0.0 %", "8.2", "40", "12.5 %", "75.0 %"]
    assert rows == [
        ["Small Transformer", "beam3", "0.258", *values],
        ["Typical caption trivial", "–", "0.058", *values],
    ]


def test_differences_from_the_baseline(page: Page) -> None:
    """Of four clips nothing can be concluded: 2 of 16 ways to swap captions are as far apart."""
    (caption,) = [text for text in page.tables if text.startswith("SPIDEr against")]
    assert caption.startswith("SPIDEr against Typical caption, on the same clips of evaluation.")
    assert "from .05 on the difference could be chance" in caption
    assert page.tables[caption][1:] == [
        ["Small Transformer", "beam3", "+.200", "+.200 to +.200", ".13", "could be chance"]
    ]


def test_empty_predictions_are_named(page: Page) -> None:
    (details,) = [text for text in page.texts["details"] if "are empty" in text]
    assert details == f"Small Transformer, seed 2: 1 of 4 predictions are empty {ODD_NAMES[1]}"


def test_synthetic_and_notes_are_shown(page: Page) -> None:
    assert "synthetic" in page.texts["title"][0]
    assert "synthetic" in page.texts["h1"][0]
    assert any(text.startswith("Synthetic corpus") for text in page.texts["p"])
    assert page.texts["aside"] == ["About this run The demo cuts the corpus to 4 clips."]


def test_everything_is_escaped(tree: Any, page: Page) -> None:
    assert page.all("script") == [{"src": "data/clips.js"}, {}], "only the page's own"
    assert not page.all("i"), "a caption became markup"
    assert any("</code><script>x</script>" in text for text in page.texts["pre"])
    assert not any((a["href"] or "").startswith("javascript") for a in page.all("a"))
    assert "CC BY 3.0" in page.texts["a"]


def test_data_cost_and_provenance(tree: Any, page: Page) -> None:
    content, _ = tree
    splits = page.table("Splits")
    assert splits[1][:2] == ["development", "development-training"]
    assert splits[1][2:5] == ["4", "0.00", "20"]
    assert splits[3][:5] == ["test", "evaluation (Clotho: testing)", "4", "0.00", "no captions"]
    warning = page.table("Checks of the split evaluation")[1]
    assert warning == ["warning", "silent clips", "none", "1", ODD_NAMES[0]]
    assert page.table("Speed of decoding")[1] == [
        *("Small Transformer", "beam3", "4", "1.4 s", "2.9", "0.5", "–"),
    ]
    assert page.table("Time and memory")[1] == [
        "train_system",
        "2",
        "1 min 31 s",
        "98 %",
        "1 min 30 s",
        "2 min 20 s",
        "812",
    ]
    assert page.table("Size of the systems")[1] == [
        *("Small Transformer", "conv_transformer", "1 234 567", "1 234 567"),
        *("2", "12", "2.5 s", "10", "1 min 00 s"),
    ]
    trained = page.table("What each system was trained on")
    sources = (
        "tiny, development, 4 clips, weight 1, task token <tiny>"
        "macs, full, 3928 clips, 2 left out as also held out, weight 0.5, task token <macs>"
    )
    assert trained[1][1:5] == ["1, 2", sources, "random weights", "logmel-dcase"]
    folders = "".join(system["model"] for system in content["systems"][:2])
    assert trained[1][5] == f"2 folders{folders}"
    assert trained[2][2] == "trivial: no training"
    header, row = page.table("Vocabularies")
    assert header[2:5] == ["Known development", "Known evaluation", "Counted on"]
    dogs, words = 4, int(splits[1][5])  # each clip has one caption with a dog, which alone is known
    assert row[1:5] == ["3", *[f"{100 * dogs / words:.1f} %"] * 2, "tiny, development"]
    assert ["torch", "2.15"] in page.table("Versions")
    assert any(content["commit"] == text for text in page.texts["code"])


def test_every_check_is_shown_and_what_is_expected(tree: Any, page: Page) -> None:
    content, _ = tree
    for split, files in content["splits"].items():
        checks = json.loads(Path(files["checks"]).read_text())["checks"]
        header, *rows = page.table(f"Checks of the split {split}")
        assert header == ["Level", "Check", "Expected", "Found", "Where"]
        expected = [
            [c[key] for key in ("level", "name", "expected", "found")] + (c["offenders"] or ["–"])
            for c in checks
        ]
        assert sorted(rows) == sorted(expected)
    captions = page.texts["figcaption"]
    assert any("Expected (shaded): 0.5 to 30" in text for text in captions)
    assert any("Expected (shaded): 8 to 20" in text for text in captions)


def test_licences_are_counted_by_split(page: Page) -> None:
    header, *rows = page.table("Licences")
    assert header == ["Licence", "development", "evaluation", "test"]
    assert sorted(rows) == [["CC BY 3.0", "2", "2", "2"], ["javascript:x()", "2", "2", "2"]]


def test_clips_left_out_are_named_with_the_reason(tree: Any, page: Page, tmp_path: Path) -> None:
    content, _ = tree
    assert page.table("Clips that this run did without")[1:] == [
        ["development", "damaged", "1", "5", f"names and reasonsdamaged.wav: {FAULT}"],
        [
            "macs, full",
            "also in a held-out split",
            "2",
            "3 930",
            "names and reasons0.wav: freesound:0 is in evaluation"
            "1.wav: freesound:1 is in evaluation",
        ],
    ]
    many = {f"{i:03d}.wav": "youtube:x is in test" for i in range(120)}
    for name, excluded in {"many": many, "none": {}}.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"n_clips": 200, "excluded": excluded}))
    leakage = {name: str(tmp_path / f"{name}.json") for name in ("many", "none")}
    build_report({**content, "frontends": {}, "leakage": leakage}, tmp_path / "report")
    page = Page((tmp_path / "report/index.html").read_text(encoding="utf-8"))
    _, _, found, nothing = page.table("Clips that this run did without")
    assert found[:4] == ["many", "also in a held-out split", "120", "200"]
    assert found[4].startswith("names and reasons000.wav: ")
    assert found[4].endswith("049.wav: youtube:x is in testand 70 more")
    assert nothing == ["none", "also in a held-out split", "0", "200", "–"]


def test_one_clip_is_shown_as_each_front_end_hears_it(tree: Any, page: Page) -> None:
    content, _ = tree
    names = [svg["aria-label"] for svg in page.all("svg") if " hears it. " in svg["aria-label"]]
    middle = ODD_NAMES[2]  # clips score more from first to last
    assert [name.split(". ")[0] for name in map(str, names)] == [
        f"{middle} as logmel-dcase hears it".split(". ")[0],
        f"{middle} as tagger hears it".split(". ")[0],
    ]
    shards = content["frontends"]["logmel-dcase"]["shards"]
    n_frames = len(FeatureStore(shards)[str(middle)])
    captions = [text for text in page.texts["figcaption"] if "Settings: kind" in text]
    assert captions[0].startswith(f"{n_frames} frames of 64 mel bands, one every 23.2 ms")
    assert "window hamming, n_fft 2048" in captions[0]
    assert "peak_normalise false" in captions[0]
    assert "dimensions, one every 160 ms" in captions[1]
    (link,) = [a["href"] for a in page.all("a") if str(a["href"]).startswith("#clip=")]
    assert unquote(str(link)) == f"#clip={middle}"
    assert "hear it" in page.texts["a"]


def test_front_end_example_without_its_audio(tmp_path: Path) -> None:
    """The features outlive the audio: a run may remove it once they are computed."""
    content = write_tree(tmp_path / "results")
    clips = content["splits"]["evaluation"]["clips"]
    labels = []
    for gone in (ODD_NAMES[:3], ODD_NAMES[3:]):
        for name in gone:
            (tmp_path / "results/audio" / name).unlink()
        listening = write_listening(tmp_path / gone[0], clips)
        build_report({**content, "listening": listening}, tmp_path / "report")
        page = Page((tmp_path / "report/index.html").read_text(encoding="utf-8"))
        found = [str(svg["aria-label"]) for svg in page.all("svg")]
        labels.append([label for label in found if " hears it" in label])
    heard, unheard = labels
    assert [label.split(" as ")[0] for label in heard] == [ODD_NAMES[3]] * 2, "can be heard"
    assert sum("The audio could not be read" in label for label in unheard) == 2
    assert "hear it" not in page.texts["a"]


def test_content_without_front_ends_and_leakage_as_before(tree: Any, tmp_path: Path) -> None:
    content, _ = tree
    bare = {k: v for k, v in content.items() if k not in ("frontends", "leakage")}
    build_report(bare, tmp_path / "report")
    page = Page((tmp_path / "report/index.html").read_text(encoding="utf-8"))
    assert "What the front-ends hear" not in page.texts["h3"]
    assert [row[0] for row in page.table("Clips that this run did without")[1:]] == ["development"]


def test_the_graph_of_rules_is_a_picture_and_a_table(page: Page) -> None:
    assert page.table("Rules, and whose output each uses") == [
        ["Rule", "Jobs", "Uses the output of"],
        ["build_report", "1", "train_system"],
        ["train_system", "2", "–"],
    ]
    (picture,) = [svg for svg in page.all("svg") if "behind this report" in str(svg["aria-label"])]
    assert str(picture["aria-label"]).startswith("The 2 rules and 3 jobs behind this report")


def test_learning_has_a_row_per_seed_and_pictures_with_names(page: Page) -> None:
    _, first, second = page.table("Trainings")
    best = 4 / 9 + 0.05 * 9
    expected = ["Small Transformer", "1", "12", "9", f"{best + 0.02:.3f}", "10", "2.5 s", "30 s"]
    assert first == expected
    assert second[4] == f"{best + 0.04:.3f}"
    drawings = page.all("svg")
    shown = {"SPIDEr": 1, "training": 3, "data": 3, "front-ends": 2, "vocabulary": 1, "cost": 2}
    assert len(drawings) == sum(shown.values()) + 1, "and rules"
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in drawings)


def test_every_kind_of_system_has_its_place(tree: Any, tmp_path: Path) -> None:
    """Reinforced, published, joined and final systems: scores, learning, cost, provenance."""
    content = add_systems(tmp_path, {**tree[0], "frontends": {}})
    build_report(content, tmp_path / "report")
    page = Page((tmp_path / "report/index.html").read_text(encoding="utf-8"))
    _, *rows = page.table("Scores on the split evaluation")
    large, reinforced, _, both, final, *_ = rows
    assert [row[2] for row in rows][:7] == ["1 to 3", "1 to 3", "–", "–", "–", "1, 2", "–"]
    assert large[3].startswith("0.322, interval") and reinforced[3].startswith("0.352 (best)")
    assert both[0] == (
        "Large and small ensembleensemble of 4: ConvNeXt Transformer (seeds 1 to 3), "
        "Small Transformer (seed 1)"
    )
    assert final[0].endswith("finaltrained on evaluation: not scored")
    assert final[3:] == ["not scored"] * 9 + ["–", "–"]
    trainings = page.table("Trainings")
    assert trainings[0][4:6] == ["Validation loss there", "CIDEr there"]
    assert [row[1] for row in trainings[1:]] == ["1", "2", "3", "1", "2", "3", "1", "1", "2"]
    sizes = {row[0]: row[1:] for row in page.table("Size of the systems")[1:]}
    assert sizes["Large and small"] == ["ensemble of 4", "4 938 268", "4 938 268", *["–"] * 5]
    assert sizes["DCASE 2021 baseline, published weights"][3:] == ["–"] * 5
    assert sizes["ConvNeXt Transformer"][3:] == ["3", "18", "2.5 s", "10", "2 min 15 s"]
    trained = {row[0]: row[1:] for row in page.table("What each system was trained on")[1:]}
    assert trained["ConvNeXt Transformer"][2] == "encoder: convnext_tiny_471mAP.pth"
    assert trained["ConvNeXt Transformer, reinforced"][2] == (
        "weights of ConvNeXt Transformer, same seed"
    )
    assert trained["DCASE 2021 baseline, published weights"][:3] == [
        *("–", "–"),
        "published weights dcase_baseline_pre_trained_weights.pt, not trained here",
    ]
    assert trained["Large and small"][1].endswith("; mean of log-probabilities")
    text = (tmp_path / "report/scores.txt").read_text(encoding="utf-8")
    assert "ConvNeXt Transformer, final: trained on evaluation: not scored" in text


def test_words_that_are_missed_and_made_up(tree: Any, page: Page, tmp_path: Path) -> None:
    assert not any("words" in str(a["href"]) for a in page.all("a")), "no analysis, no section"
    errors = write_errors(tmp_path / "errors.json", ["small.seed1.beam3"])
    content = {**tree[0], "frontends": {}, "errors": {"evaluation": str(errors)}}
    build_report(content, tmp_path / "report")
    page = Page((tmp_path / "report/index.html").read_text(encoding="utf-8"))
    assert {"href": "#words"} in page.all("a")
    assert page.table("Right: the share")[1][:5] == [
        *("Small Transformer", "25 %", "33 %", "50 %", "33 %"),
    ]
    assert page.table("Missed")[1:] == [["bark", "verb", "2", "67 %"], ["dog", "noun", "2", "67 %"]]
    assert ["<i>", "noun", "1", "100 %"] in page.table("Made up")
    header, row = page.table("Confused nouns")
    assert header == ["People say", "Clips", "Found", "bird", "<i>"]
    assert row == ["dog", "3", "1", "2", "0"]


def test_page_is_accessible_and_loads_nothing_from_elsewhere(tree: Any, page: Page) -> None:
    _, folder = tree
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert len(html.encode()) < 5_000_000
    for tag, attributes in page.elements:
        for name in ("src", "href", "poster", "data", "srcset", "xlink:href"):
            target = attributes.get(name) or ""
            external = "//" in target and not (tag == "a" and name == "href")
            external = external and not target.startswith("data:")
            assert not external, f"<{tag} {name}={target}>"
            if target.startswith("#") and not target.startswith("#clip="):
                assert f'id="{target[1:]}"' in html
    assert "@import" not in html
    assert "fetch(" not in html
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))
    assert not any(caption.startswith("without") for caption in page.tables)
    assert page.all("html") == [{"lang": "en"}]


def test_reports_of_the_same_content_agree(tree: Any, tmp_path: Path) -> None:
    content, folder = tree
    build_report(ReportContent.from_dict(content), tmp_path / "again")
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    again = tmp_path / "again"
    assert names == sorted(str(p.relative_to(again)) for p in again.rglob("*") if p.is_file())
    for name in names:
        if name != "index.html":  # it holds the time
            assert (folder / name).read_bytes() == (again / name).read_bytes()


def test_folder_is_replaced_and_kept_when_a_report_fails(tree: Any, tmp_path: Path) -> None:
    content, _ = tree
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    broken = {**content, "vocabularies": {"task": str(tmp_path / "absent.json")}}
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        build_report(broken, folder)
    assert [p.name for p in folder.iterdir()] == ["old.txt"]
    build_report({**content, "frontends": {}}, folder)
    assert sorted(p.name for p in folder.iterdir()) == [
        "data",
        "figures",
        "index.html",
        "media",
        "scores.txt",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_corpus_that_is_not_clotho_has_no_published_row(tree: Any, tmp_path: Path) -> None:
    content, _ = tree
    corpus = {**content["corpus"], "clotho": False, "synthetic": False}
    build_report({**content, "frontends": {}, "corpus": corpus, "notes": []}, tmp_path / "report")
    page = Page((tmp_path / "report/index.html").read_text(encoding="utf-8"))
    assert len(page.table("Scores on the split evaluation")) == 1 + 2
    assert "synthetic" not in " ".join(page.texts["h1"] + page.texts["title"] + page.texts["p"])
    assert not page.all("aside")


def test_nothing_scored_nothing_trained(tree: Any, tmp_path: Path) -> None:
    content, _ = tree
    bare = {
        **content,
        "systems": [{"name": "x", "title": "Outside", "seed": 0, "decoding": "given"}],
        "benchmarks": {},
        "commit": None,
    }
    build_report(bare, tmp_path / "report")
    page = Page((tmp_path / "report/index.html").read_text(encoding="utf-8"))
    said = page.texts["p"]
    assert "No split was scored." in said
    assert "No training history: nothing was trained in this run." in said
    assert "No clips to listen to: no split was scored." in said
    assert page.table("What each")[1] == ["Outside", "–", "no model in this run"]
    assert not page.all("audio")


def test_scores_without_a_metric_are_refused(tmp_path: Path) -> None:
    content = write_tree(tmp_path / "results")
    path = Path(content["systems"][0]["scores"]["evaluation"]["json"])
    scores = json.loads(path.read_text())
    del scores["metrics"]["spice"]
    path.write_text(json.dumps(scores))
    with pytest.raises(InputError, match=r"scores\.json: no score spice; found bleu_1"):
        build_report(content, tmp_path / "report")
