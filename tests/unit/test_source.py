import shutil
from pathlib import Path

import pytest

import captioner.source
from captioner.source import source_digest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `captioner` of a few modules, looked at in place of the real one."""
    folder = tmp_path / "src/captioner"
    modules = {
        "__init__.py": '"""Package."""\n',
        "a.py": '"""Doc of a."""\nfrom captioner.b import value\nimport numpy\n',
        "b.py": "value = 1\n\n\ndef late():\n    import captioner.room.c\n",
        "registry.py": 'NAMES = {"c": "captioner.room.c"}\n',
        "room/__init__.py": "",
        "room/c.py": "class C:\n    '''Doc of C.'''\n\n    x = 1\n",
    }
    for name, text in modules.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(captioner.source, "PACKAGE", folder)
    return folder


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_follows_imports_at_every_depth(package):
    before = source_digest("captioner.a")
    edit(package / "room/c.py", "x = 1", "x = 2")  # imported inside a function of b
    assert source_digest("captioner.a") != before


def test_stops_at_names_in_strings(package):
    registry, both = source_digest("captioner.registry"), ["captioner.registry", "captioner.room.c"]
    before = source_digest(*both)
    edit(package / "room/c.py", "x = 1", "x = 2")
    assert source_digest("captioner.registry") == registry
    assert source_digest(*both) != before


def test_a_new_name_in_a_registry_makes_nothing_stale(package):
    registry = package / "registry.py"
    registry.write_text(registry.read_text() + 'SOME, OTHERS = ("c",), ("x",)\n')
    before = source_digest("captioner.registry")
    edit(registry, "{", '{"b": "captioner.b", ')
    edit(registry, '("c",)', '("c", "b")')
    assert source_digest("captioner.registry") == before
    edit(registry, '("x",)', '("x", "b")')  # of other names: data
    assert source_digest("captioner.registry") != before
    before = source_digest("captioner.registry")
    edit(package / "registry.py", "{", '{"d": "captioner.absent", ')  # no module: data
    assert source_digest("captioner.registry") != before


def test_what_is_left_unused_does_not_count(package):
    without = source_digest("captioner.a", without=["captioner.b"])
    assert without != source_digest("captioner.a")
    edit(package / "b.py", "value = 1", "value = 2")
    edit(package / "room/c.py", "x = 1", "x = 2")  # only b imports it
    assert source_digest("captioner.a", without=["captioner.b"]) == without
    edit(package / "a.py", "numpy", "scipy")
    assert source_digest("captioner.a", without=["captioner.b"]) != without
    with pytest.raises(FileNotFoundError):
        source_digest("captioner.a", without=["captioner.bb"])


def test_files_of_another_language_that_a_module_names_count(package):
    (package / "room/script.js").write_text("one();")
    (package / "room/other.js").write_text("one();")
    edit(package / "room/c.py", "x = 1", 'x = "script.js"')
    before = source_digest("captioner.a")
    (package / "room/other.js").write_text("two();")
    assert source_digest("captioner.a") == before
    (package / "room/script.js").write_text("two();")
    captioner.source._read.cache_clear()  # a new start
    assert source_digest("captioner.a") != before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("a.py", "Doc of a.", "Another."),
        ("room/c.py", "Doc of C.", "Another."),
        ("b.py", "value = 1", "value = 1  # why"),
        ("b.py", "value = 1", "value  =  (1)"),
    ],
)
def test_docstrings_comments_and_layout_do_not_count(package, module, old, new):
    before = source_digest("captioner.a")
    edit(package / module, old, new)
    assert source_digest("captioner.a") == before


def test_a_string_that_is_no_docstring_counts(package):
    edit(package / "b.py", "value = 1", 'value = "one"')
    before = source_digest("captioner.a")
    edit(package / "b.py", '"one"', '"two"')
    assert source_digest("captioner.a") != before


def test_does_not_depend_on_where_the_checkout_stands(package, tmp_path, monkeypatch):
    script = package.parents[1] / "script.py"
    script.write_text("import captioner.a\n")
    before = source_digest(script)
    shutil.copytree(package.parents[1], tmp_path / "moved")
    monkeypatch.setattr(captioner.source, "PACKAGE", tmp_path / "moved/src/captioner")
    assert source_digest(tmp_path / "moved/script.py") == before


def test_unknown_entry(package):
    with pytest.raises(FileNotFoundError, match=r"captioner\.nothing"):
        source_digest("captioner.nothing")


def test_of_the_real_package(repository):
    scripts = sorted((repository / "workflow/scripts").glob("*.py"))
    digests = {script: source_digest(script) for script in scripts}
    assert len(set(digests.values())) == len(scripts) > 10
    assert source_digest(scripts[0]) == digests[scripts[0]]
