"""Run many programs as forks of one process that has imported what they need: starts cost little.

Started as a script it reads requests from standard input, JSON, one a line: `module` or `path`,
`arguments`, `folder`, `environment`. To each it answers with `exit_code` and `output`, both streams
together.
"""

import json
import os
import runpy
import sys
import tempfile
from pathlib import Path

IMPORTED = ("matplotlib.pyplot", "numpy", "pyarrow.parquet", "snakemake.cli", "soundfile", "torch")


def serve() -> None:
    """Answer until standard input ends."""
    for name in IMPORTED:
        __import__(name)
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as output:
            sys.stdout.flush()
            child = os.fork()
            if child == 0:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                run(request)
            _, status = os.waitpid(child, 0)
            output.seek(0)
            text = output.read().decode(errors="replace")
        answer = {"exit_code": os.waitstatus_to_exitcode(status), "output": text}
        print(json.dumps(answer), flush=True)


def run(request: dict) -> None:
    """Be the program; never return."""
    code = 1
    try:
        os.chdir(request["folder"])
        os.environ.update(request.get("environment", {}))
        sys.argv = [request.get("module") or request["path"], *request["arguments"]]
        if request.get("module"):
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = str(Path(request["path"]).resolve().parent)
            runpy.run_path(request["path"], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
