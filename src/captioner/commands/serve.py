"""`captioner serve`: a page that captions sounds dropped, chosen or recorded."""

import argparse

from captioner.commands.arguments import Commands, add_models, need_extra, positive

HIGHEST_PORT = 65535


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "serve",
        help="a page in the browser that captions any sound with a trained system",
        description="Serves a page to drop, choose or record a sound and see its captions, tags "
        "and spectrogram, and the same as JSON for programs. Only this machine reaches it, unless "
        "--host says otherwise. Uploads are deleted as soon as they are captioned. Ctrl-C ends.",
        epilog="Example: captioner serve --model results/synthetic/systems/transformer_small/"
        "seed1/model",
    )
    add_models(parser, "the folder of a trained system; several times: an ensemble of them")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="NAME",
        help="the address to listen at (default: %(default)s, this machine alone); 0.0.0.0 is "
        "every network this machine is in",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=8000,
        metavar="N",
        help="(default: %(default)s); 0 takes a free one",
    )
    parser.add_argument(
        "--max-mb",
        type=positive,
        default=128,
        metavar="N",
        help="megabytes of an upload at most (default: %(default)s)",
    )
    parser.add_argument(
        "--max-seconds",
        type=positive,
        default=600,
        metavar="N",
        help="seconds of a sound at most (default: %(default)s)",
    )
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    need_extra("serve", "starlette", "uvicorn")
    from captioner.serving.server import serve
    from captioner.serving.uploads import MEGABYTE, Limits

    limits = Limits(n_bytes=arguments.max_mb * MEGABYTE, duration_s=float(arguments.max_seconds))
    serve(arguments.model, arguments.host, arguments.port, limits)
    return 0


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {HIGHEST_PORT}")
    return number
