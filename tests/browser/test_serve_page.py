"""The page of `captioner serve` in a real browser: choose, drop, record, errors."""

import base64
import json
import re
import urllib.request

import numpy as np
import pytest

from serving import running, save_small_model, sound, written

pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")

from playwright.sync_api import expect


@pytest.fixture(scope="module")
def address(tmp_path_factory, repository):
    """Where a server of a small model is."""
    folder = tmp_path_factory.mktemp("serve")
    model = save_small_model(folder / "model", repository)
    with running(model, folder / "scratch", "--max-mb", "2") as (_, port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page(new_page, address):
    page = new_page(address)
    page.goto(address)
    expect(page.locator("#model summary")).to_have_text("tiny, trained on synthetic")
    return page


def choose(page, content, name="sound.wav"):
    page.set_input_files(
        "#file", files=[{"name": name, "mimeType": "audio/wav", "buffer": content}]
    )


def answered(page, name):
    expect(page.locator("#name")).to_have_text(name)
    expect(page.locator("#status")).to_contain_text("Done")
    expect(page.locator("#error")).to_be_hidden()
    expect(page.locator("#progress")).to_be_hidden()


def server_says(address, content, query=""):
    request = urllib.request.Request(f"{address}/caption{query}", content, method="POST")
    return json.load(urllib.request.urlopen(request))


def test_choose(page, address):
    content = sound(3.0, 44100)
    expect(page.locator("#result")).to_be_hidden()
    choose(page, content)
    answered(page, "sound.wav")
    expected = server_says(address, content, "?n_best=3")
    expect(page.locator("#caption")).to_have_text(expected["caption"])
    rows = page.locator("#others tbody tr")
    expect(rows).to_have_text(
        [f"{each['caption']}{each['score']:.3f}" for each in expected["n_best"]]
    )
    expect(page.locator("#facts")).to_contain_text("0:03.0 long, 44.1 kHz, 1 channel.")
    expect(page.locator("#windows")).to_be_hidden()
    expect(page.locator("#tags")).to_be_hidden()
    expect(page.locator("#spectrogram")).to_have_attribute(
        "aria-label", re.compile("^Spectrogram: 3.0 seconds")
    )
    colours = page.evaluate(
        "new Set(document.getElementById('spectrogram').getContext('2d')"
        ".getImageData(0, 0, 100, 90).data).size"
    )
    assert colours > 50
    page.wait_for_selector("#head", state="hidden")
    page.click("#picture", position={"x": 300, "y": 50})  # there it plays from
    width = page.locator("#picture").bounding_box()["width"]
    expect(page.locator("#head")).to_be_visible()
    now = page.evaluate("document.getElementById('player').currentTime")
    assert now == pytest.approx(3 * 300 / width, abs=0.05)
    page.evaluate("document.getElementById('player').play()")
    page.wait_for_function("now => document.getElementById('player').currentTime > now", arg=now)


def test_the_answer_can_be_saved(page):
    choose(page, sound(), "my dog.1.flac")
    answered(page, "my dog.1.flac")
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "my dog.1.captions.json"
    saved = json.loads(download.value.path().read_text(encoding="utf-8"))
    assert saved["caption"] == page.inner_text("#caption")


def test_the_model_is_told_honestly(page):
    expect(page.locator("#synthetic")).to_contain_text("heard only sounds that a program made")
    page.click("#model summary")
    expect(page.locator("#model dl")).to_contain_text("dcase_baseline")
    expect(page.locator("#model dl")).to_contain_text("synthetic, development")
    expect(page.locator("#limits")).to_contain_text("up to 10 min, 2 MB")


CNN10 = {"kind": "cnn10", "sample_rate_hz": 32000, "checkpoint": "Cnn10.pth"}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"started_from": [{"what": "encoder Cnn10.pth", "trained_on": None}]}, "Cnn10.pth"),
        ({"frontends": {"cnn10": CNN10}}, "cnn10 (cnn10, 32 kHz)"),
    ],
)
def test_what_others_trained_is_told(new_page, address, changed, told):
    def answer(route):
        about = route.fetch().json()
        about["models"][0].update(changed)
        route.fulfill(json=about)

    page = new_page(address)
    page.route("**/about", answer)
    page.goto(address)
    expect(page.locator("#synthetic")).to_contain_text("also learned from sounds")
    page.click("#model summary")
    expect(page.locator("#model dl")).to_contain_text(told)


@pytest.mark.parametrize("target", ["#drop", "footer"])  # whoever misses the zone, too
def test_drop(page, target):
    data = base64.b64encode(sound(seed=1)).decode()
    held = page.evaluate_handle(
        """(data) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], "dropped.wav"));
          return transfer;
        }""",
        data,
    )
    page.dispatch_event(target, "dragover", {"dataTransfer": held})
    expect(page.locator("#drop")).to_have_class("drop over")
    page.dispatch_event(target, "drop", {"dataTransfer": held})
    expect(page.locator("#drop")).to_have_class("drop")
    answered(page, "dropped.wav")


def test_keyboard(page):
    with page.expect_file_chooser() as chooser:  # told in good time: a key may overtake it
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "file"
        page.keyboard.press("Enter")
    chooser.value.set_files([{"name": "k.wav", "mimeType": "audio/wav", "buffer": sound()}])
    answered(page, "k.wav")


def test_long_sounds_come_in_windows(page, address):
    content = written(np.random.default_rng(0).normal(scale=0.1, size=45 * 8000), form="OGG")
    choose(page, content, "walk.ogg")
    answered(page, "walk.ogg")
    expected = server_says(address, content)["windows"]
    expect(page.locator("#caption")).to_have_text("4 windows captioned, from 0:00 to 0:45.")
    rows = page.locator("#windows tbody tr")
    expect(rows).to_have_count(4)
    times = ["0:00 – 0:20", "0:10 – 0:30", "0:20 – 0:40", "0:25 – 0:45"]
    for row, (time, window) in enumerate(zip(times, expected, strict=True)):
        expect(rows.nth(row)).to_contain_text(f"{time}{window['caption']}")
    page.get_by_role("button", name="0:25 – 0:45").click()
    expect(page.locator("#windows [aria-current]")).to_have_count(3)
    expect(rows.nth(0)).not_to_have_attribute("aria-current", "true")
    assert 25 <= page.evaluate("document.getElementById('player').currentTime") < 30


def test_windows_are_chosen(page):
    page.select_option("#window", label="of 5 s")
    page.select_option("#n-best", "1")
    choose(page, sound(10))
    answered(page, "sound.wav")
    expect(page.locator("#windows tbody tr")).to_have_count(3)
    expect(page.locator("#windows ol")).to_have_count(0)


def test_tags(page, address):
    def add_tags(route):
        answer = route.fetch()
        said = answer.json()
        tags = {
            "cnn10": [{"tag": "Dog", "probability": 0.914}, {"tag": "Rain", "probability": 0.1}]
        }
        route.fulfill(response=answer, json={**said, "tags": tags})

    page.route("**/caption?*", add_tags)
    choose(page, sound())
    answered(page, "sound.wav")
    rows = page.get_by_role("table", name="Heard by cnn10").get_by_role("row")
    expect(rows).to_have_text(["Dog0.91", "Rain0.10"])
    widths = [row.locator(".bar").bounding_box()["width"] for row in rows.all()]
    assert widths[0] > 5 * widths[1] > 0


def test_recording(page):
    page.click("#record")
    expect(page.locator("#record-label")).to_have_text("Stop")
    expect(page.locator("#level")).to_be_visible()
    expect(page.locator("#recorded")).to_have_text(re.compile("^0:0[1-9]"))
    page.click("#record")
    expect(page.locator("#name")).to_have_text(re.compile("^Recording of "))
    answered(page, re.compile("^Recording of "))
    assert page.inner_text("#caption")
    seconds = float(re.match(r"0:(\d+\.\d) long", page.inner_text("#facts"))[1])
    assert 1 <= seconds < 20
    assert "silent" not in page.inner_text("#notes")  # the browser's microphone beeps
    expect(page.locator("#record-label")).to_have_text("Record")


def test_what_only_the_browser_reads_is_converted_there(page, new_page):
    webm = page.evaluate(
        """async () => {
          const context = new AudioContext();
          const tone = new OscillatorNode(context);
          const target = context.createMediaStreamDestination();
          tone.connect(target);
          tone.start();
          const recorder = new MediaRecorder(target.stream, { mimeType: "audio/webm" });
          const parts = [];
          recorder.ondataavailable = ({ data }) => parts.push(data);
          recorder.start();
          await new Promise((resolve) => setTimeout(resolve, 700));
          await new Promise((resolve) => { recorder.onstop = resolve; recorder.stop(); });
          const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
          return btoa(String.fromCharCode(...bytes));
        }"""
    )
    choose(page, base64.b64decode(webm), "phone.webm")
    answered(page, "phone.webm")
    assert page.inner_text("#caption")
    new_page.expect_problems("status of 415")


def test_a_text_named_wav(page, new_page):
    choose(page, sound(), "good.wav")
    answered(page, "good.wav")
    choose(page, b"This is a text.\n", "text.wav")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("text.wav: Found what cannot be read as audio")
    expect(alert).to_contain_text("expected wav, flac, ogg, mp3")
    expect(page.locator("#result")).to_have_class("old")  # and does not pass for this one's
    choose(page, sound(), "again.wav")
    answered(page, "again.wav")
    new_page.expect_problems("status of 415")


@pytest.mark.parametrize(
    "content, words, problems",
    [
        (b"", "Found 0 bytes", ["status of 422"]),
        (
            written(np.zeros(601 * 1000), 1000, "FLAC"),
            "Found a sound of 10 min 1 s",
            ["status of 422"],
        ),
        (bytes(2_000_001), "Found a sound of 2.0 MB, expected at most 2.0 MB", []),  # unsent
    ],
)
def test_refusals_are_messages(page, new_page, content, words, problems):
    choose(page, content)
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.locator("#status")).to_have_text("")
    expect(page.locator("#result")).to_be_hidden()
    new_page.expect_problems(*problems)


def test_cancel(page, new_page):
    page.route("**/caption?*", lambda route: None)
    choose(page, sound())
    expect(page.locator("#progress")).to_be_visible()
    page.click("#cancel")
    expect(page.locator("#status")).to_have_text("Cancelled.")
    expect(page.locator("#cancel")).to_be_hidden()
    new_page.expect_problems("ERR_ABORTED")


def test_a_server_that_is_gone(page, new_page):
    page.route("**/caption?*", lambda route: route.abort("connectionrefused"))
    choose(page, sound())
    expect(page.get_by_role("alert")).to_contain_text("Is captioner serve still running?")
    new_page.expect_problems("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_REFUSED")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(new_page, address, scheme):
    page = new_page(address, width=390, color_scheme=scheme)
    page.goto(address)
    choose(page, sound(40), f"{'long' * 30}.wav")
    answered(page, f"{'long' * 30}.wav")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in page.get_by_role("button").all():
        if button.is_visible():
            assert button.bounding_box()["height"] >= 24  # WCAG 2.5.8
