"""The one exception for what a user can mend."""


class InputError(Exception):
    """Bad input: the message says what was found, what was expected and what to do.

    Shown without a traceback by jobs and by the command line (exit code 2).
    """


def install_command(extra: str) -> str:
    """Give what installs an optional extra, for messages."""
    return f".venv/bin/pip install -e '.[{extra}]'"
