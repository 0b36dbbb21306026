"""A server without a socket: the guarded application around a small model; and a real one."""

import asyncio
import io
import json
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager

import httpx
import numpy as np
import soundfile

from captioner.models.checkpoint import save_model
from captioner.serving.answering import Answerer
from captioner.serving.app import build_app
from captioner.serving.guard import Guard
from captioner.serving.server import LOCAL_NAMES
from captioner.serving.uploads import Limits
from captioner.settings import read_yaml
from small_models import FRONTEND, small_model

START_S = 90  # the cores may be busy with something else
ADDRESS = "http://127.0.0.1:8000"
LIMITS = Limits(n_bytes=2_000_000, duration_s=60.0)


def save_small_model(folder, repository):
    """Write a model folder as training leaves it."""
    settings = read_yaml(repository / "config" / "frontends" / f"{FRONTEND}.yaml")
    loaded = small_model("dcase_baseline", settings["n_mels"], settings)
    facts = {"title": "tiny", "trained_on": [{"corpus": "synthetic", "split": "development"}]}
    description = {**loaded.description, **facts}
    save_model(folder, loaded.model, loaded.vocabulary, description)
    return folder


class Server:
    """The application, its scratch folder and a client of it."""

    def __init__(self, answerer, scratch, limits=LIMITS):
        scratch.mkdir(exist_ok=True)
        self.scratch = scratch
        self.app = Guard(build_app(answerer, limits, scratch), LOCAL_NAMES, addresses=False)

    def request(self, method, address, **options):
        async def send():
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
                return await client.request(method, address, **options)

        return asyncio.run(send())

    def get(self, address):
        return self.request("GET", address)

    def caption(self, content, query="", **options):
        return self.request("POST", f"/caption{query}", content=content, **options)

    def refused(self, content, status, *words, query=""):
        """Ask for a caption that is refused with this status, in words that hold these."""
        answer = self.caption(content, query)
        assert answer.status_code == status, answer.text
        message = answer.json()["error"]
        for word in (*words, "ound ", "xpected "):
            assert word in message, message
        assert str(self.scratch) not in answer.text
        assert list(self.scratch.iterdir()) == []


def sound(duration_s=0.5, rate=8000, form="WAV", subtype=None, n_channels=1, seed=0):
    """Give the bytes of a file of noise."""
    samples = np.random.default_rng(seed).normal(
        scale=0.1 / (1 + seed), size=(int(duration_s * rate), n_channels)
    )
    return written(samples, rate, form, subtype)


def written(samples, rate=8000, form="WAV", subtype=None):
    """Give the bytes of a file of these samples."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=form, subtype=subtype)
    return stream.getvalue()


def make_answerer(folder, limits=LIMITS):
    return Answerer([folder], limits)


async def ask(app, messages, headers=(), after=None):
    """Post to /caption by hand: `messages` are what the server receives, one after the other.

    `after` is awaited before the client goes. Gives (status, answer), both None without an answer.
    """
    sent = []
    left = list(messages)

    async def receive():
        if left:
            return left.pop(0)
        if after is not None:
            await after()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/caption",
        "raw_path": b"/caption",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], json.loads(body) if body else None


def body(content, *, more=False):
    """Give a message with a part of a body."""
    return {"type": "http.request", "body": content, "more_body": more}


async def forever():
    await asyncio.Event().wait()


@contextmanager
def running(model, scratch, *options):
    """Run the command on a free port; give the process and the port."""
    scratch.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "captioner.cli", "serve", "--model", model, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    watchdog = threading.Timer(START_S, process.kill)
    watchdog.start()
    try:
        said = process.stdout.readline()
        watchdog.cancel()
        found = re.fullmatch(r"Captions at http://127\.0\.0\.1:(\d+)/ \(Ctrl-C ends\)\n", said)
        assert found, said + process.stderr.read()
        yield process, int(found[1])
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
