import json

import pytest
import requests

from captioner.corpus.download import zenodo
from captioner.corpus.download.transfer import UnavailableError
from captioner.corpus.download.zenodo import Pin, ask_record

MD5 = "900150983cd24fb0d6963f7d28e17f72"
ITEM = {"key": "a b.7z", "size": 3, "checksum": f"md5:{MD5}", "links": {"self": "https://host"}}
OTHER = {**ITEM, "key": "b.7z", "size": 4}


@pytest.fixture
def ask(monkeypatch):
    """Ask an API that gives a certain answer."""

    def ask(answer):
        def get(_session, url, _headers):
            assert url == "https://host/api/records/12"
            response = requests.Response()
            response.status_code = 200
            text = answer if isinstance(answer, str) else json.dumps(answer)
            response._content = text.encode()
            return response

        monkeypatch.setattr(zenodo, "get", get)
        return ask_record("12", "a b.7z", "https://host/api/records")

    return ask


@pytest.mark.parametrize(
    "files",
    [
        [OTHER, ITEM],
        {"enabled": True, "entries": {"b.7z": OTHER, "a b.7z": ITEM}},
        {"entries": [OTHER, ITEM]},
    ],
)
def test_both_forms_of_an_answer(ask, files):
    pin = ask({"id": 12, "files": files})
    assert pin == Pin("12", "a b.7z", 3, MD5, pin.asked)
    assert len(pin.asked) == len("2026-01-02")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"files": [OTHER]}, "lists no file 'a b.7z', only: b.7z"),
        ({"files": {"enabled": False}}, "lists no file 'a b.7z', only: none"),
        ({}, "only: none"),
        ([], "only: none"),
        ({"files": [{**ITEM, "checksum": "sha256:00"}]}, "states no size and md5"),
        ({"files": [{**ITEM, "size": "3"}]}, "states no size and md5"),
        ("<html>", "gave no JSON"),
    ],
)
def test_an_answer_without_the_file(ask, answer, told):
    with pytest.raises(UnavailableError, match=told):
        ask(answer)
