"""``lingbot-eval view RUN``: the run's page in a browser, live while the run goes on."""

from __future__ import annotations

import argparse
from pathlib import Path

from lingbot_eval.cli.places import content
from lingbot_eval.errors import NotReady
from lingbot_eval.plain import say
from lingbot_eval.reports.server import ADDRESS, Server
from lingbot_eval.runs.directory import RunDirectory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=content)
    parser.add_argument("--port", type=int, default=0, help=f"on {ADDRESS} (default: any that is free)")


def view(given: argparse.Namespace) -> int:
    """Serve until Ctrl-C.

    Raises BadInput and CorruptRecords, NotReady where the port is taken.
    """
    folder, port = RunDirectory(Path(given.run)), given.port
    try:
        server = Server(folder, port)
    except (OSError, OverflowError) as error:
        raise NotReady(f"cannot listen on {ADDRESS}:{port}: {error}; choose another with --port") from None
    with server:
        server.book()  # what cannot be shown is said here, not in the browser
        say(f"{server.url}  (Ctrl-C ends)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say()
    return 0
