"""Where jobs read the project: in the copy that was made when their run started."""

import os
import shlex
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)  # the checkout
CODE = ROOT
FROZEN = Path(".snakemake/frozen")
if not workflow.is_main_process and (FROZEN / "current").is_file():
    # A job. (Without a common file system Snakemake itself sends a copy, and there is none here.)
    CODE = FROZEN.resolve() / (FROZEN / "current").read_text(encoding="utf-8")
    os.environ.update(PYTHONPATH=str(CODE / "src"))  # of its script
RULES = CODE / "workflow/rules"

sys.path.insert(0, str(CODE / "src"))
if Path(sys.executable).is_file():  # once
    # Snakemake 9.27 puts the interpreter into a script's command line without quotes.
    sys.executable = shlex.quote(sys.executable)
