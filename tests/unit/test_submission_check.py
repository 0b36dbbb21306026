"""A package in which nothing is wrong is corrupted in one way: that finding and no other."""

import json

import pytest

from captioner.errors import InputError
from captioner.submission.check import Known, check_package
from good_package import CLIPS, METADATA, NAMES, OUTPUT, STEM, good_files, write_zip

OUT, META, REPORT = NAMES["output"], NAMES["metadata"], NAMES["report"]
SCORES = {
    "bleu_1": 0.3784, "bleu_2": 0.119, "bleu_3": 0.05, "bleu_4": 0.017, "rouge_l": 0.263,
    "meteor": 0.078, "cider": 0.075, "spice": 0.028, "spider": 0.0515,
}  # fmt: skip
MODEL = {
    "frontends": {"logmel": {"kind": "logmel"}},
    "settings": {"training": {}, "pretrained": {}},
    "trained_on": [
        {"corpus": "clotho-v2.1", "split": "development", "n_clips": 3839},
        {"corpus": "macs", "split": "development", "n_clips": 3930},
    ],
}
STATED = "    metric_monitored: validation_loss\n    clotho_metadata: sound ids\n"


def found(tmp_path, files, known=None):
    """Give the findings as (level, code, file, line)."""
    findings = check_package(write_zip(tmp_path / "p.zip", files), known or Known(CLIPS))
    assert findings.errors == sorted(findings.errors)
    return [(f.level, f.code, f.file, f.line) for f in findings.errors + findings.warnings]


def line_of(text, part):
    return text[: text.index(part)].count("\n") + 1


def edited(before, after, text=METADATA):
    assert text.count(before) == 1, before
    return text.replace(before, after)


def test_a_good_package(tmp_path):
    findings = check_package(write_zip(tmp_path / "p.zip", good_files()), Known(CLIPS))
    assert findings.found == []
    assert findings.told().endswith("0 errors, 0 warnings")
    assert len(findings.not_checked) == 4  # results and origin of both systems


def test_what_was_not_checked_is_said(tmp_path):
    told = check_package(write_zip(tmp_path / "p.zip", good_files()), Known()).told()
    assert "Not checked:" in told
    assert "whether every test clip has its caption" in told


def test_a_package_may_be_in_folders_and_in_crlf(tmp_path):
    files = {f"team/{name}": content for name, content in good_files().items()}
    files[f"team/{OUT}"] = OUTPUT.replace("\n", "\r\n").encode()
    files[f"team/{META}"] = METADATA.replace("\n", "\r\n").encode()
    assert found(tmp_path, files) == []


def test_the_other_spelling_and_lists_of_an_ensemble(tmp_path):
    files = good_files()
    files[META] = edited("leasrning_rate: 1e-3", "learning_rate: [1e-3, 0.5]").encode()
    assert found(tmp_path, files) == []


OUTPUTS = {  # what is wrong -> output, level, code, line
    "bom": (b"\xef\xbb\xbf" + OUTPUT.encode(), "error", "bom", 1),
    "latin-1": (OUTPUT.encode("latin-1"), "error", "encoding", 4),
    "utf-16": (OUTPUT.encode("utf-16"), "error", "encoding", 1),
    "old Mac": (OUTPUT.replace("\n", "\r").encode(), "error", "line-ends", 1),
    "mixed": (OUTPUT.replace("\n", "\r\n", 1).encode(), "warning", "line-ends", 0),
    "nothing": (b"", "error", "columns", 1),
    "another column": (
        OUTPUT.replace("caption_predicted", "caption").encode(), "error", "columns", 1
    ),
    "index column": (b",file_name,caption_predicted\n0,a.1.wav,rain\n", "error", "columns", 1),
    "semicolons": (OUTPUT.replace(",", ";").encode(), "error", "columns", 1),
    "comma": (OUTPUT.replace("rain falls", "rain, wind").encode(), "error", "cells", 2),
    "open quote": (OUTPUT.replace("a dog", '"a dog').encode(), "error", "csv", 3),
    "empty": (OUTPUT.replace("a dog barks twice", " ").encode(), "error", "empty", 3),
    "upper case": (OUTPUT.replace("a dog", "A dog").encode(), "warning", "upper-case", 3),
    "punctuation": (OUTPUT.replace("twice", "twice.").encode(), "warning", "punctuation", 3),
    "hyphen": (OUTPUT.replace("a dog", "a dog-dog").encode(), "warning", "punctuation", 3),
    "spaces": (OUTPUT.replace("a dog", "a  dog").encode(), "warning", "spaces", 3),
    "zero byte": (OUTPUT.replace("a dog", "a \0dog").encode(), "warning", "spaces", 3),
    "zero width": (OUTPUT.replace("a dog", "a\u200b dog").encode(), "warning", "spaces", 3),
    "missing": (OUTPUT.replace("a.2.wav,a dog barks twice\n", "").encode(), "error", "missing", 0),
    "extra": ((OUTPUT + "b.wav,wind\n").encode(), "error", "extra", 5),
    "twice": ((OUTPUT + "a.1.wav,wind\n").encode(), "error", "twice", 5),
    "order": (
        b'file_name,caption_predicted\na.2.wav,wind\na.1.wav,rain\n"\xc3\xa9t\xc3\xa9 ""x"", '
        b'(1).wav",wind\n', "warning", "order", 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", OUTPUTS)
def test_the_output(tmp_path, wrong):
    content, level, code, line = OUTPUTS[wrong]
    assert found(tmp_path, {**good_files(), OUT: content}) == [(level, code, OUT, line)]


def test_empty_captions_may_be_allowed(tmp_path):
    files = {**good_files(), OUT: OUTPUTS["empty"][0]}
    known = Known(CLIPS, allow_empty=True)
    assert found(tmp_path, files, known) == [("warning", "empty", OUT, 3)]


METADATAS = {  # what is wrong -> before, after, level, code, where
    "label": ("drossos_tau_task6_1", "drossos_tau_task5_1", "error", "label", "label:"),
    "label's index": ("drossos_tau_task6_1", "drossos_tau_task6_7", "error", "label", "label:"),
    "label of another system": (
        "drossos_tau_task6_1", "drossos_tau_task6_3", "error", "label-name", "label:"
    ),
    "label of another author": (
        "lastname: Drossos", "lastname: Virtanen", "warning", "label-author", "label:"
    ),
    "no label": ("drossos_tau_task6_1", "!!null", "error", "type", "label:"),
    "label of digits": ("drossos_tau_task6_1", "61", "error", "label", "label:"),
    "long abbreviation": (
        "abbreviation: Baseline", "abbreviation: Baseline123", "error", "abbreviation",
        "abbreviation: Base",
    ),
    "same abbreviation": (
        "abbreviation: Baseline", "abbreviation: Better", "warning", "not-unique", None
    ),
    "nobody corresponds": ("corresponding: true", "corresponding: false", "error",
                           "corresponding", "authors:"),
    "everybody corresponds": (
        "email: # Contact email address", "corresponding: true", "error", "corresponding",
        "authors:",
    ),
    "no email": ("email: someone@example.org", "email: !!null", "warning", "email", "- lastname"),
    "bad email": ("someone@example.org", "someone", "error", "type", "email: someone"),
    "corresponding in words": (
        "corresponding: true", "corresponding: 'yes'", "error", "type", "corresponding: true"
    ),
    "field missing": ("    optimizer: adam\n", "", "error", "field-missing", "description:"),
    "field unknown": ("    optimizer: adam\n", "    optimizer: adam\n    optimiser: adam\n",
                      "error", "field-unknown", "    leasr"),
    "both spellings": (
        "    gradient_clipping: 0\n", "    learning_rate: 1\n    gradient_clipping: 0\n", "error",
        "field-unknown", "    gradient_clipping",
    ),
    "flag": ("ensemble: No", "ensemble: 3 systems", "error", "type", "ensemble:"),
    "flag of nothing": ("ensemble: No", "ensemble: !!null", "error", "type", "ensemble:"),
    "number": ("leasrning_rate: 1e-3", "leasrning_rate: small", "error", "type", "leasr"),
    "negative": ("leasrning_rate: 1e-3", "leasrning_rate: -1", "error", "range", "leasr"),
    "separators": ("46246", "46,246", "error", "type", "total_parameters"),
    "text": ("optimizer: adam", "optimizer: {name: adam}", "error", "type", "optimizer"),
    "percent": ("bleu1: 0.378", "bleu1: 37.8", "error", "range", "bleu1"),
    "spider": ("spider: 0.051", "spider: 0.061", "error", "result", "spider"),
    "not a number": ("meteor: 0.078", "meteor: .nan", "error", "type", "meteor"),
    "clipping": ("gradient_norm: !!null", "gradient_norm: 2", "warning", "clipping",
                 "gradient_norm"),
    "its own data": ("- name: MACS", "- name: Clotho v2", "warning", "not-external", "- name"),
    "the split that is judged": (
        "- name: MACS",
        "- name: Clotho testing",
        "error",
        "test-split",
        "- name",
    ),
    "metadata": (
        "acoustic_features: log-mel energies",
        "acoustic_features: log-mels and keywords",
        "warning",
        "metadata-use",
        "acoustic_features",
    ),
    "url": ("https://example.org/macs", "example", "error", "type", "url"),
    "broken": ("name: DCASE2021 baseline system", "name: 'DCASE2021", "error", "yaml", None),
    "twice": ("    optimizer: adam\n", "    optimizer: adam\n    optimizer: sgd\n", "error",
              "yaml", "    leasr"),
    "endless number": ("46246", "0x" + 5000 * "F", "error", "yaml", "total_parameters"),
    "endless label": ("drossos_tau_task6_1", "1" + 5000 * ":1", "error", "yaml", "label:"),
    "tag of a mapping": ("  complexity:", "  complexity: !!python/dict", "error", "yaml",
                         "  complexity:"),
    "set": ("  authors:", "  authors: !!set", "error", "yaml", "  authors:"),
    "code in a tag": ("optimizer: adam", "optimizer: !!python/name:os.system ''", "error", "yaml",
                      "optimizer"),
    "bad whole": ("46246", "!!int many", "error", "yaml", "total_parameters"),
    "alias": ("optimizer: adam", "optimizer: &a adam\n    loss: *a", "error", "yaml",
              "    leasr"),
    "documents": ("# Submission information for task 6\n", "a: 1\n---\n", "error", "yaml",
                  "submission:"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", METADATAS)
def test_the_metadata(tmp_path, wrong):
    before, after, level, code, where = METADATAS[wrong]
    text = edited(before, after)
    [one] = found(tmp_path, {**good_files(), META: text.encode()})
    assert one[:2] == (level, code)
    if where is not None:
        assert one[2:] == (META, line_of(METADATA, where))


def test_an_output_of_nothing(tmp_path):
    files = {**good_files(), OUT: b"file_name,caption_predicted\n"}
    for known in (Known(), Known(CLIPS)):
        assert found(tmp_path, files, known) == [("error", "empty", OUT, 0)]


def test_findings_stay_on_their_line(tmp_path):
    name = "\x1b[2J0 errors\n.csv"
    findings = check_package(write_zip(tmp_path / "p.zip", {**good_files(), name: b""}), Known())
    [finding] = findings.errors
    assert finding.file == name
    assert str(finding).startswith("\\x1b[2J0 errors\\n.csv: found this name")


def test_undeclared_external_data_by_what_the_metadata_says(tmp_path):
    start, end = METADATA.index("    - name: MACS"), METADATA.index("  source_code")
    text = METADATA[:start] + METADATA[end:]
    text = text.replace("external_datasets:\n", "external_datasets: !!null\n")
    assert found(tmp_path, {**good_files(), META: text.encode()}) == []
    text = text.replace("log-mel energies", "AudioSet embeddings")
    line = line_of(METADATA, "acoustic_features")
    expected = [("warning", "external", META, line)]
    assert found(tmp_path, {**good_files(), META: text.encode()}) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found nothing"),
        ("- a\n- b\n", "expected the keys submission, system, results"),
        ("? [a, b]\n: 1\n", "a key of several values"),
        ("a: " + "[" * 5000 + "]" * 5000, "levels"),
        ("a: &a [1]\nb: *a\n", "alias"),
        ("a: \x07\n", "special characters"),
    ],
)
def test_what_is_no_metadata(tmp_path, text, told):
    findings = check_package(
        write_zip(tmp_path / "p.zip", {**good_files(), META: text.encode()}), Known(CLIPS)
    )
    [one] = findings.found
    assert told in one.message and one.level == "error" and one.file == META


PACKAGES = {  # what is wrong -> removed, added, level, code, file
    "no output": (OUT, {}, "error", "file-missing", OUT),
    "no metadata": (META, {}, "error", "file-missing", META),
    "no report": (REPORT, {}, "warning", "report-shared", REPORT),
    "no PDF": (None, {REPORT: b"<html>"}, "error", "pdf", REPORT),
    "half a PDF": (None, {REPORT: b"%PDF-1.7\n"}, "error", "pdf", REPORT),
    "a draft": (
        None, {REPORT: b"%PDF-1.7 aac-workflow-draft %%EOF"}, "warning", "draft", REPORT
    ),
    "a name": (None, {"captions.csv": b""}, "error", "names", "captions.csv"),
    "an index": (
        None, {f"{STEM}_5_output.csv": b""}, "error", "names", f"{STEM}_5_output.csv"
    ),
    "a file of the system's": (None, {".DS_Store": b""}, "warning", "not-needed", ".DS_Store"),
    "in another folder": (None, {f"old/{OUT}": b""}, "error", "twice", f"old/{OUT}"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", PACKAGES)
def test_the_package(tmp_path, wrong):
    removed, added, level, code, file = PACKAGES[wrong]
    files = good_files()
    files.pop(removed, None)
    assert found(tmp_path, {**files, **added}) == [(level, code, file, 0)]


def test_no_report_at_all(tmp_path):
    files = {name: content for name, content in good_files().items() if "report" not in name}
    assert ("error", "report-missing", "", 0) in found(tmp_path, files)


def test_labels_are_unique(tmp_path):
    second = f"{STEM}_2_metadata.yaml"
    text = METADATA.replace("Baseline", "Other")
    codes = {code for _, code, file, _ in found(tmp_path, {**good_files(), second: text.encode()})}
    assert codes == {"label-name", "not-unique"}


def test_nothing_of_ours(tmp_path):
    assert found(tmp_path, {"readme.txt": b""}) == [
        ("error", "names", "", 0),
        ("warning", "not-needed", "readme.txt", 0),
    ]


def test_two_teams(tmp_path):
    files = good_files()
    files["other_tau_task6_submission_1_report.pdf"] = files.pop(REPORT)
    assert [code for _, code, *_ in found(tmp_path, files)] == ["names"]


def test_results_against_the_scores(tmp_path):
    known = Known(CLIPS, scores={1: SCORES})
    assert found(tmp_path, good_files(), known) == []  # .378 is .3784 to within .0005
    line = line_of(METADATA, "bleu1")
    known = Known(CLIPS, scores={1: {**SCORES, "bleu_1": 0.3786}})
    assert found(tmp_path, good_files(), known) == [("error", "result", META, line)]
    half = {key: value for key, value in SCORES.items() if key != "meteor"}
    findings = check_package(
        write_zip(tmp_path / "p.zip", good_files()), Known(CLIPS, scores={1: half})
    )
    assert findings.found == []
    assert "meteor of system 1: its scores file has none" in findings.not_checked
    files = {**good_files(), META: edited("bleu1: 0.378", "bleu1: !!null").encode()}
    known = Known(CLIPS, scores={1: SCORES})
    assert found(tmp_path, files, known) == [("warning", "result-missing", META, line)]


def stated(text=METADATA):
    return {**good_files(), META: text.replace(STATED.splitlines()[0] + "\n", STATED).encode()}


def with_model(**changes):
    return Known(CLIPS, models={1: [{**MODEL, **changes}]})


def test_what_a_model_learned_from(tmp_path):
    assert found(tmp_path, stated(), with_model()) == []
    own = MODEL["trained_on"]
    test = [*own, {"corpus": "clotho-v2.1", "split": "test", "n_clips": 1043}]
    assert [f[:3] for f in found(tmp_path, stated(), with_model(trained_on=test))] == [
        ("error", "test-split", META)
    ]
    seen = [*own, {"corpus": "clotho-v2.1", "split": "evaluation", "n_clips": 1045}]
    line = line_of(STATED.join(METADATA.split(STATED.splitlines()[0] + "\n")), "    bleu1") - 1
    assert found(tmp_path, stated(), with_model(trained_on=seen)) == [
        ("error", "result-learned", META, line)
    ]
    other = [*own, {"corpus": "audiocaps", "split": "development", "n_clips": 1}]
    assert [f[:3] for f in found(tmp_path, stated(), with_model(trained_on=other))] == [
        ("error", "undeclared", META)
    ]


def test_use_of_metadata_is_stated(tmp_path):
    [one] = found(tmp_path, good_files(), with_model())
    assert one == ("error", "metadata-use", META, line_of(METADATA, "description:"))


@pytest.mark.parametrize(
    "changes",
    [
        {"frontends": {"cnn10": {"kind": "cnn10", "checkpoint": "Cnn10.pth"}}},
        {"settings": {"pretrained": {"encoder": "Cnn10.pth"}}},
        {"settings": {"word_embeddings": {"source": "bert"}}},
    ],
)
def test_parts_that_others_trained_are_declared(tmp_path, changes):
    own = [MODEL["trained_on"][0]]
    assert found(tmp_path, good_files(), with_model(**changes, trained_on=own)) == []  # MACS, then
    [one] = found(tmp_path, stated(), with_model(**changes))
    assert one[:3] == ("error", "undeclared", META)


def test_published_weights(tmp_path):
    known = with_model(trained_on=[], weights="published.pt")
    assert found(tmp_path, good_files(), known) == [("warning", "unknown-training", META, 0)]


def test_what_a_model_started_from_is_asked_for(tmp_path):
    path = write_zip(tmp_path / "p.zip", stated())
    started = {**MODEL, "system": "tuned", "settings": {"start": "first"}}
    told = (
        "what tuned learned before, as first, from which it started: give that model's folder too"
    )
    assert told in check_package(path, Known(CLIPS, models={1: [started]})).not_checked
    both = [started, {**MODEL, "system": "first"}]
    assert told not in check_package(path, Known(CLIPS, models={1: both})).not_checked


def test_the_challenges_corpus_may_have_another_name(tmp_path):
    mine = [{"corpus": "mine", "split": "development"}]
    models = {1: [{**MODEL, "trained_on": mine}]}
    assert found(tmp_path, good_files(), Known(CLIPS, models=models, own="mine")) == []
    assert len(found(tmp_path, good_files(), Known(CLIPS, models=models))) == 2


def test_what_is_given_for_a_system_that_is_not_there(tmp_path):
    path = write_zip(tmp_path / "p.zip", good_files())
    with pytest.raises(InputError, match=r"scores were given for the system 4; the package has 1"):
        check_package(path, Known(scores={4: {}}))


def test_known_is_read_from_files(tmp_path):
    scores, model = tmp_path / "scores.json", tmp_path / "model"
    model.mkdir()
    (model / "model.json").write_text(json.dumps(MODEL))
    scores.write_text(json.dumps({"metrics": SCORES, "n_clips": 3}))
    (tmp_path / "clips.csv").write_bytes("file_name;author\nété.wav;é\nb.wav;b\n".encode("latin-1"))
    known = Known.read(tmp_path / "clips.csv", {1: scores}, {1: [model]})
    assert known.clips == ["été.wav", "b.wav"]
    assert known.scores == {1: SCORES} and known.models == {1: [MODEL]}
    scores.write_text(json.dumps(SCORES))  # as `captioner score --out` writes
    assert Known.read(scores={2: scores}).scores == {2: SCORES}
    folder = tmp_path / "audio"
    folder.mkdir()
    for name in ("b.WAV", "a.wav", "notes.txt"):
        (folder / name).touch()
    assert Known.read(folder).clips == ["a.wav", "b.WAV"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"clips": "nowhere.csv"}, "nowhere.csv: no such file"),
        ({"clips": "other.csv"}, "expected one that is named file_name"),
        ({"clips": "."}, "found no clips"),
        ({"clips": "nowhere.parquet"}, "nowhere.parquet: no such file"),
        ({"clips": "twice.csv"}, r"the clips 'a.wav' more than once"),
        ({"clips": "blank.csv"}, "rows without a file_name"),
        ({"clips": "long.csv"}, "field larger than field limit"),
        ({"scores": {1: "other.csv"}}, "expected those of a system"),
        ({"scores": {1: "none.json"}}, "found no scores"),
        ({"scores": {1: "nan.json"}}, "found no scores"),
        ({"models": {1: ["nowhere"]}}, "expected that in a folder `model`"),
        ({"models": {1: ["empty"]}}, "found no description of a model"),
        ({"models": {1: ["odd"]}}, "found no description of a model"),
    ],
)
def test_bad_files_beside_the_package(tmp_path, monkeypatch, given, told):
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "other.csv": "a,b\n1,2\n",
        "twice.csv": "file_name\na.wav\na.wav\n",
        "blank.csv": "author,file_name\nx,a.wav\nx\n",
        "long.csv": f"file_name\n{'a' * 200_000}\n",
        "none.json": '{"metrics": {}}',
        "nan.json": '{"metrics": {"spider": NaN}}',
        "empty/model.json": "{}",
        "odd/model.json": json.dumps({**MODEL, "trained_on": [1]}),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=told):
        Known.read(**given)
