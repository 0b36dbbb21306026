"""Every command and every line of Python of the pages for people runs, in a folder that has all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from documented import OTHERS, SHELL, commands, named_file, pages, put_in_place, split_page
from runners import add_benchmarks, run_command
from world import World, make_world, write_inputs

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [str(path.relative_to(REPOSITORY)) for path in pages(REPOSITORY)]
COMMANDS = {page: list(commands(REPOSITORY / page, REPOSITORY)) for page in PAGES}
BLOCKS = {page: split_page(REPOSITORY / page, REPOSITORY)[0] for page in PAGES}


@pytest.fixture(scope="module")
def world(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    add_benchmarks(repository)
    world = make_world(repository, tmp_path_factory.mktemp("a reader's folder"))
    yield world
    world.process.stdin.close()
    assert world.process.wait(60) == 0


@pytest.mark.parametrize("page", [page for page in PAGES if COMMANDS[page]])
def test_commands_run(page, world, monkeypatch, capfd):
    """In their order, with the files of the page where it says that they stand."""
    monkeypatch.chdir(world.folder)
    write_inputs(world.folder)
    put_in_place(BLOCKS[page], world.folder)
    failed = []
    for command in dict.fromkeys(COMMANDS[page]):
        try:
            run_command(command.text, world)
        except Exception as error:
            failed.append(f"{command}\n{error}\n{capfd.readouterr().err[-2000:]}")
    assert not failed, "\n\n".join(failed)
    CHECKS.get(page, lambda folder: None)(world.folder)


def check_captions(folder: Path) -> None:
    assert "recordings/a.ogg" in (folder / "captions.csv").read_text(encoding="utf-8")
    assert (folder / "walk.vtt").read_text(encoding="utf-8").startswith("WEBVTT\n")


# What is to be seen after a page's commands.
CHECKS = {"docs/captions.md": check_captions}


CODE = {
    page: "\n".join(b.text for b in blocks if b.language == "python" and not named_file(b))
    for page, blocks in BLOCKS.items()
}


@pytest.mark.parametrize("page", [page for page in PAGES if CODE[page]])
def test_python_runs(page, world):
    """One block after another, as one program; blocks that are files have tests of their own."""
    write_inputs(world.folder)
    (world.folder / "page.py").write_text(CODE[page], encoding="utf-8")
    exit_code, output = world.run([], path="page.py")
    assert exit_code == 0, output
    if page == "docs/captions.md":
        assert [line.split()[0] for line in output.splitlines()][:3] == [
            "rain.wav",
            "dog.flac",
            "0.0",
        ]


@pytest.mark.parametrize("page", PAGES)
def test_blocks_name_their_language(page):
    """So that a command never hides in a block that is not run."""
    assert {block.language for block in BLOCKS[page]} <= {SHELL, *OTHERS}


def test_a_command_without_a_way_to_run_is_told(world):
    with pytest.raises(AssertionError, match="wget localhost: this command has no way to be run"):
        run_command("wget localhost", world)
    with pytest.raises(AssertionError, match="exit code 2"):
        run_command("captioner caption --nonsense rain.wav", world)
