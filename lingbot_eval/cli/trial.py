"""``lingbot-eval trial`` plans a trial session at a real robot, and scores it key by key."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import select
import sys
import termios
import tty
from pathlib import Path

import msgspec
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lingbot_eval.cli.places import content
from lingbot_eval.cli.report import print_sheet
from lingbot_eval.cli.screen import Screen, screen
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.plain import plain, say
from lingbot_eval.reports import paper_tables as shapes
from lingbot_eval.reports.methods import Run, methods
from lingbot_eval.settings import as_struct, to_dict
from lingbot_eval.trials.plan import TrialPlan
from lingbot_eval.trials.rubric import load_rubric
from lingbot_eval.trials.scoring import REASONS, outcome_named
from lingbot_eval.trials.server import ADDRESS, PORT, Server
from lingbot_eval.trials.session import TrialSession
from lingbot_eval.trials.sheet import COLUMNS, OPTIONAL, import_csv
from lingbot_eval.trials.verbs import VERBS, Order, Verb, obey, require_clock, verb_named, verb_of

REFRESH_SECONDS = 0.5

STEP_KEYS = {" ": "Space next step", "h": "h half of the next step"}
"""These keys say a step, too, without its number."""

SHOWN = [*(verb.shown for verb in VERBS[:2]), *STEP_KEYS.values(), *(verb.shown for verb in VERBS[2:]), "q quit"]
KEYS = "   ".join(SHOWN[:5]) + "\n" + "   ".join(SHOWN[5:])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", type=content, help="its folder; one that is there goes on")
    parser.add_argument("--rubric", help="names (lingbot-eval ls rubrics) or .yaml files, comma-separated")
    parser.add_argument("--method", help="what is tried, comma-separated")
    parser.add_argument("--trials", type=int, help="of each method at each task (default: 20)")
    parser.add_argument("--order", help="alternating | blinded (default: alternating)")
    parser.add_argument("--seed", type=int, help="of the order and of the episodes' names (default: drawn)")
    parser.add_argument("--platform", help="the robot; needed where a rubric lists platforms")
    parser.add_argument("--regime", help="what the methods were trained on, in your words")
    parser.add_argument("--operator", default="", help="who scores; kept with every trial")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--next", action="store_true", help="print the next trial's method, for what starts policies")
    instead.add_argument("--web", action="store_true", help="score on a page, for a tablet beside the robot")
    instead.add_argument("--table", action="store_true", help="print the table, task by method")
    instead.add_argument(
        "--import",
        dest="sheet",
        metavar="FILE",
        type=content,
        help=f"CSV: {', '.join(COLUMNS)}; optional: {', '.join(OPTIONAL)}",
    )
    parser.add_argument("--bind", metavar="ADDRESS", help=f"--web for others than this machine (default: {ADDRESS})")
    parser.add_argument("--port", type=int, help=f"of --web (default: {PORT})")
    parser.add_argument("--token", help="of --web: who does not have it sees nothing; needed with --bind")


def trial(given: argparse.Namespace) -> int:
    """Raises BadInput, NotReady, RunMismatch."""
    if not given.web and (given.bind, given.port, given.token) != (None, None, None):
        raise BadInput("--bind, --port and --token go with --web")
    session = TrialSession(given.session, _plan(given), operator=given.operator)
    if given.next:
        say(session.next_method())
        return 0
    if given.table:
        session.read()
        _warn(session)
        _print_table(session)
        return 0
    with session:
        _warn(session)
        if given.sheet is not None:
            say(f"{import_csv(session, Path(given.sheet))} trials imported")
        elif given.web:
            _serve(session, given.bind or ADDRESS, PORT if given.port is None else given.port, given.token or "")
        else:
            _play(session)
        if session.current is None:
            _print_table(session)
            _name_comparisons(session)
    return 0


def _warn(session: TrialSession) -> None:
    for sentence in session.warnings:
        say(f"lingbot-eval: {sentence}", file=sys.stderr)


def _plan(given: argparse.Namespace) -> TrialPlan | None:
    """Return the plan that was given; None where nothing was, and the trial session that is there goes on. What is not
    given of one that is there is as it was."""
    words = {"order": given.order, "seed": given.seed, "platform": given.platform, "regime": given.regime}
    changes = {name: value for name, value in {**words, "trials": given.trials}.items() if value is not None}
    if given.rubric is not None:
        changes["rubrics"] = [to_dict(load_rubric(name.strip())) for name in given.rubric.split(",")]
    if given.method is not None:
        changes["methods"] = [name.strip() for name in given.method.split(",")]
    if not changes:
        return None
    if (Path(given.session) / "plan.json").is_file():
        known = to_dict(TrialSession(given.session).plan)
    else:
        if given.rubric is None or given.method is None:
            raise BadInput(f"{given.session} holds no trial session; plan one with --rubric and --method")
        known = {"trials": 20, "order": "alternating", "platform": "", "regime": "unstated"}
        known["seed"] = secrets.randbelow(1_000_000)
    plan: TrialPlan = as_struct({**known, **changes}, TrialPlan)
    return plan


def _print_table(session: TrialSession) -> None:
    plan = session.plan
    runs = [
        Run(str(session.run_folder(method)), plan.experiment(method), plan.episodes(), final)
        for method, final in session.final().items()
    ]
    print_sheet(shapes.tasks(methods(runs), "Task by method"), screen())
    for method in plan.methods:
        say(f"lingbot-eval report {session.run_folder(method)}")


def _name_comparisons(session: TrialSession) -> None:
    first, *others = map(session.run_folder, session.plan.methods)
    for other in others:
        say(f"lingbot-eval compare {first} {other}")


def _play(session: TrialSession) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NotReady("trials are scored in a terminal; elsewhere use --web, --import FILE, or TrialSession in Python")
    with _Keyboard() as keyboard, contextlib.suppress(KeyboardInterrupt):
        screen = _Screen(session, keyboard)
        while screen.key():
            pass
    more = "" if session.current is None else f"; lingbot-eval trial {session.folder} goes on"
    say(f"{session.done} of {len(session.slots)} trials done{more}")


def _serve(session: TrialSession, address: str, port: int, token: str) -> None:
    with Server(session, address, port, token) as server:
        say(f"{server.url}  (Ctrl-C ends)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    say(f"\n{session.done} of {len(session.slots)} trials done")


class _Screen:
    """Shows the trial at hand and acts on one key at a time."""

    def __init__(self, session: TrialSession, keyboard: _Keyboard) -> None:
        self._session, self._keyboard = session, keyboard
        self._console = Screen()
        self._said = ""
        """It answers the last key."""
        self._asking = False
        """It is true while questions stand where the trial is to be shown."""

    def key(self) -> bool:
        """Wait for a key and do what it says; return False for quit."""
        if self._asking:
            self._console.clear()
            self._asking = False
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            key = ""
            while not key:
                live.update(self._picture(), refresh=True)
                key = self._keyboard.key()
        if key == "q":
            return False
        try:
            self._said = self._acted(key)
        except BadInput as error:
            self._said = str(error)
        return True

    def _acted(self, key: str) -> str:
        """Do what ``key`` says, and return what was done. Raises BadInput where it is refused."""
        verb = verb_named("step") if key in STEP_KEYS else verb_of(key)
        if verb is None or (self._session.current is None and verb.name != "correct"):
            return f"no such key: {key!r}"
        return obey(self._session, self._order(verb, key))

    def _picture(self) -> Group:
        session = self._session
        if session.current is None:
            done = f"All {len(session.slots)} trials are done"
            return Group(Text(done, style="bold"), Text("c correct one   q quit", "dim"), Text(self._said, "yellow"))
        rubric, state = session.rubric, session.state
        slot = session.slots[session.number - 1]
        blinded = session.plan.order == "blinded"
        who = "method hidden" if blinded else f"method {slot.method}"
        head = (
            f"Trial {session.number} of {len(session.slots)}   {rubric.title}   set-up {slot.episode.index + 1}   {who}"
        )
        table = Table(show_header=False, show_edge=False, box=None)
        for number, (step, points) in enumerate(zip(rubric.steps, state.points, strict=True), start=1):
            table.add_row(str(number), Text(step.name), f"{points:g}/{step.points:g}", "✓" if points else "")
        limit, time = rubric.time_limit_seconds, session.elapsed
        clock = f"{time:.0f} s" + (f" of {limit:g} s" if limit else "") if session.started else "not started"
        over = limit is not None and time > limit
        counts = f"points {sum(state.points):g}/{rubric.max_progress:g}" if rubric.steps else "no steps known, so no PS"
        counts += f"   interventions {state.interventions}   retries {state.retries}"
        counts += f"/{rubric.retries}" if rubric.retries is not None else ""
        return Group(
            Text(head, style="bold"),
            Text(f"say: {rubric.instruction}   success: {rubric.success}"),
            table,
            Text(
                f"{clock}   {counts}" + (f"   notes {len(state.notes)}" if state.notes else ""), "red" if over else ""
            ),
            Text(KEYS, style="dim"),
            Text(self._said, style="yellow"),
        )

    def _order(self, verb: Verb, key: str) -> Order:
        """Ask for what ``key`` alone does not say. Raises BadInput where the answer is none."""
        if verb.name == "correct":
            return self._correction()
        if verb.clock == "needs":
            require_clock(self._session)  # before anything is asked
        order = Order(verb.name, self._session.number)
        match verb.name:
            case "step":
                step, points = self._step(key)
                return msgspec.structs.replace(order, step=step, points=points)
            case "failure":
                text = self._reason()
            case "void":
                text = self._asked("void, why (empty: go on)")
            case "note":
                text = self._asked("note")
            case "video":
                text = self._asked("video file")
            case _:
                text = ""
        return msgspec.structs.replace(order, text=text)

    def _step(self, key: str) -> tuple[int, tuple[float, ...]]:
        """Return the step that ``key`` says, and its points; none stand for all that the rubric gives."""
        if key not in STEP_KEYS:
            return int(key) or 10, ()
        steps, step = self._session.rubric.steps, self._session.next_step
        return step, (steps[step - 1].points / 2,) if key == "h" and step <= len(steps) else ()

    def _reason(self) -> str:
        say("\n".join(f"{number:3}  {reason}" for number, reason in enumerate(REASONS, start=1)))
        given = self._asked("reason (number)")
        if not given.isdecimal() or not 1 <= int(given) <= len(REASONS):
            raise BadInput(f"no reason {given!r}; the trial goes on")
        return REASONS[int(given) - 1]

    def _correction(self) -> Order:
        session = self._session
        given = self._asked("correct which trial (number)")
        if not given.isdecimal() or (known := session.record(int(given))) is None:
            raise BadInput(f"trial {given!r} has no record to correct")
        say(f"recorded: {known.outcome.value}, {known.progress:g}/{known.max_progress:g}")
        outcome = self._asked("outcome: success, failure, void (empty: as it was)")
        if outcome:
            outcome_named(outcome)  # before more is asked
        points = self._asked("points by step, separated by spaces (empty: as they were)").split()
        if not all(text.replace(".", "", 1).isdecimal() for text in points):
            raise BadInput(f"points: {' '.join(points)} are no numbers")
        reason = self._reason() if outcome == "failure" else ""
        why = self._asked("why")
        if not why:
            raise BadInput(f"trial {given} was not changed: a correction needs a reason (why)")
        who = self._asked(f"who (empty: {session.operator or 'nobody'})")
        given_points = tuple(map(float, points))
        return Order("correct", int(given), points=given_points, text=why, outcome=outcome, reason=reason, who=who)

    def _asked(self, what: str) -> str:
        self._asking = True
        return self._keyboard.line(plain(f"{what}: "))


class _Keyboard:
    """Reads the terminal's keyboard key by key, without Enter or echo, until it is left."""

    def __init__(self) -> None:
        self._input = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._input)

    def __enter__(self) -> _Keyboard:
        tty.setcbreak(self._input, termios.TCSANOW)
        return self

    def __exit__(self, *_: object) -> None:
        termios.tcsetattr(self._input, termios.TCSANOW, self._before)

    def key(self) -> str:
        """Return a key; nothing when none came for REFRESH_SECONDS, q at the end of input."""
        ready, _, _ = select.select([self._input], [], [], REFRESH_SECONDS)
        return (os.read(self._input, 1).decode(errors="replace") or "q") if ready else ""

    def line(self, prompt: str) -> str:
        """Read a line, with the terminal's own editing; return nothing at the end of input."""
        self.__exit__()
        try:
            return input(prompt).strip()
        except EOFError:
            return ""
        finally:
            self.__enter__()
