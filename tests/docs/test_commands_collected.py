"""What counts as a command of a page, and what does not."""

from documented import commands, split_page

PAGE = """# A page

Text with `captioner info model` and `.venv/bin/snakemake --cores 2`, a `rain.wav`, a bare `make`
and `OMP_NUM_THREADS=1 bench_store.py --clips 5`.

    captioner caption --model model \\
      rain.wav   # why
    # only said

    make demo

- a list
    that goes on: make lists

```yaml
key: captioner
```

```sh
find . | captioner caption -
```
"""


def test_commands_in_order(tmp_path):
    (tmp_path / "a.md").write_text(PAGE)
    found = [(command.line, command.text) for command in commands(tmp_path / "a.md", tmp_path)]
    assert found == [
        (3, "captioner info model"),
        (3, ".venv/bin/snakemake --cores 2"),
        (4, "OMP_NUM_THREADS=1 bench_store.py --clips 5"),
        (6, "captioner caption --model model rain.wav   # why"),
        (10, "make demo"),
        (20, "find . | captioner caption -"),
    ]


def test_blocks_and_text(tmp_path):
    (tmp_path / "a.md").write_text(PAGE)
    blocks, text = split_page(tmp_path / "a.md", tmp_path)
    assert [(block.language, block.line) for block in blocks] == [
        ("sh", 6),
        ("sh", 10),
        ("yaml", 16),
        ("sh", 20),
    ]
    assert (13, "    that goes on: make lists") in text
