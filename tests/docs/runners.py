"""How the commands of the pages are run: one function per program.

A new program, or a command of ours that needs more, gets a function here: `@runs("wget")`,
`@runs("captioner export")`. The longest name that a command begins with is taken.
"""

import json
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path
from urllib.request import urlopen

from world import World

from captioner.cli import main

Runner = Callable[[list[str], World], None]
RUNNERS: dict[str, Runner] = {}
# What capitals stand for in a command.
PLACEHOLDERS = {
    "CORPUS": "clotho-v2.1",
    "SYSTEM": "baseline",
    "DECODING": "greedy",
    "TARGET": "all",
    "FOLDER": ".",
}


def runs(name: str) -> Callable[[Runner], Runner]:
    """Register the runner of the commands that begin with `name`."""

    def register(runner: Runner) -> Runner:
        RUNNERS[name] = runner
        return runner

    return register


def run_command(text: str, world: World) -> None:
    """Run a command; `AssertionError` where it fails, or where there is no way to run it."""
    words = shlex.split(re.sub(r"^(\w+=\S+ )+", "", text), comments=True)
    words[0] = words[0].removeprefix(".venv/bin/")
    for placeholder, value in PLACEHOLDERS.items():
        words = [re.sub(rf"\b{placeholder}\b", value, word) for word in words]
    for length in (2, 1):
        name = " ".join(words[:length])
        if runner := RUNNERS.get(name):
            runner(words[length:], world)
            return
    raise AssertionError(f"{text}: this command has no way to be run; add one to {__name__}.py")


def _main(words: list[str], *expected: int) -> None:
    try:
        code = main(words)
    except SystemExit as end:
        code = end.code
    assert code in expected, f"captioner {shlex.join(words)}: exit code {code}"


@runs("captioner")
def _captioner(words: list[str], world: World) -> None:
    """As it stands; a command without arguments is only named: does it exist?"""
    _main([*words, "--help"] if len(words) == 1 else words, 0)


@runs("captioner score")
def _score(words: list[str], world: World) -> None:
    """As it stands, but for the metrics that need models: those are asked for."""
    told = StringIO()
    with redirect_stderr(told):
        _main(["score", *(words or ["--help"])], 2 if "--sentence-model" in words else 0)
    if "--sentence-model" in words:
        assert re.search("Install the extra: .*semantic|echecker.ckpt", told.getvalue()), (
            told.getvalue()
        )


@contextmanager
def _serving(words: list[str]) -> Iterator[str]:
    """Run `captioner serve` on a free port until Ctrl-C; give its address."""
    command = [sys.executable, "-m", "captioner.cli", "serve", *words, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            said = re.search(r"http://\S+/", process.stdout.readline())
            assert said
            yield said[0]
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 128 + signal.SIGINT


@runs("captioner serve")
def _serve(words: list[str], world: World) -> None:
    """It starts and ends; of `--help` the same as of any command."""
    if "--help" in words:
        _main(["serve", *words], 0)
        return
    with _serving(words) as address, urlopen(address) as page:
        assert page.status == 200


@runs("curl")
def _curl(words: list[str], world: World) -> None:
    """A sound to a server of `model`."""
    option, file, address = words
    assert (option, file[0]) == ("--data-binary", "@")
    with _serving(["--model", "model"]) as here:
        sound = Path(file[1:]).read_bytes()
        with urlopen(address.replace("http://127.0.0.1:8000/", here), sound) as answer:
            assert json.load(answer)["caption"]


@runs("find")
def _find(words: list[str], world: World) -> None:
    """`find ... | captioner ...`: names through a pipe."""
    middle = words.index("|")
    listed = subprocess.run(["find", *words[:middle]], stdout=subprocess.PIPE, check=True).stdout
    reader = [sys.executable, "-m", "captioner.cli", *words[middle + 2 :]]
    subprocess.run(reader, input=listed, check=True)


@runs("snakemake")
def _snakemake(words: list[str], world: World) -> None:
    """Dry: with the full config, or with what the command names."""
    words = [word for word in words if word != "..."]
    # In front: options that take lists swallow what follows them.
    cache = {"SNAKEMAKE_OUTPUT_CACHE": str(world.folder / "cache")} if "--cache" in words else {}
    (world.folder / "cache").mkdir(exist_ok=True)
    words = ["--dry-run", *words]
    code, output = world.run(words, module="snakemake", environment=cache)
    assert code == 0, output
    done = "Unlocked working directory" if "--unlock" in words else "^total|Nothing to be done"
    assert re.search(done, output, re.M), output


@runs("make")
def _make(words: list[str], world: World) -> None:
    """Dry: the target exists."""
    subprocess.run(["make", "--dry-run", *words], check=True, capture_output=True, text=True)


@runs("uv pip")
def _uv(words: list[str], world: World) -> None:
    """Not run, it would ask the network: the project has the extra that it installs."""
    [extra] = re.findall(r"^\.\[(\w+)\]$", words[-1])
    project = tomllib.loads((world.folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert extra in project["project"]["optional-dependencies"]
    assert words[:-1] == ["install", "--python", ".venv/bin/python", "-e"]


@runs("python")
def _python(words: list[str], world: World) -> None:
    """A script of ours: its `--help` knows the options."""
    _script(words[0], words[1:], world)


def _script(path: str, words: list[str], world: World) -> None:
    text = (world.folder / path).read_text(encoding="utf-8")
    if "argparse" not in text:  # it takes what it is given
        compile(text, path, "exec")
        return
    code, output = world.run(["--help"], path=path)
    assert code == 0, output
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b", output), f"{path} has no {option}:\n{output}"


def add_benchmarks(repository: Path) -> None:
    """Give each benchmark its runner: pages name them without their folder."""
    for path in (repository / "benchmarks").glob("*.py"):
        runs(path.name)(partial(_script, f"benchmarks/{path.name}"))
