"""Runs forwards of several sessions together when they are of the same kind.

Sessions live in threads. One that is about to compute takes a seat; when everybody who has a seat waits for a forward,
the one that has waited longest is run, and all that wait for the same kind with it. So nobody waits for a session whose
simulator is at work, and sessions at different points of their chunks meet by themselves.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import TracebackType

from torch import Tensor

from lingbot_eval.agents.lingbot_va.forwards import Part
from lingbot_eval.agents.lingbot_va.graphs import Forward, Graphs
from lingbot_eval.models.lingbot_va.transformer import Stream

Kind = tuple[Stream, int, bool]
"""Stream, tokens, whether outputs are wanted: forwards that are equal in these can be one."""


@dataclass(eq=False)
class _Request:
    kind: Kind
    part: Part
    since: float
    done: bool = False
    failed: bool = True
    """It has failed until it has been run."""
    out: Tensor | None = None
    waited: float = 0.0
    """So many seconds passed until it began to run."""


class Batcher:
    """Runs the forwards of the sessions that share a model."""

    def __init__(self, forward: Forward, *, together: bool = True, graphs: Graphs | None = None) -> None:
        """together=False: one forward at a time in the shapes of its own session, as exact mode wants. graphs: for
        forwards of one session alone."""
        self._forward, self._together, self._graphs = forward, together, graphs
        self._change = threading.Condition()
        self._seated = 0
        self._waiting: list[_Request] = []
        self._running = False

    def sit(self) -> None:
        with self._change:
            self._seated += 1

    def leave(self) -> None:
        with self._change:
            self._seated -= 1
            self._change.notify_all()

    def forward(self, part: Part, stream: Stream, *, head: bool) -> tuple[Tensor | None, float]:
        """Return the output for ``part`` and the seconds that it waited for others. Called by who has a seat."""
        request = _Request((stream, part.tokens.shape[1], head), part, time.perf_counter())
        with self._change:
            self._waiting.append(request)
            self._change.notify_all()
            self._change.wait_for(lambda: request.done or self._next()[:1] == [request])
            if not request.done:
                group = self._next()
                self._waiting = [other for other in self._waiting if other not in group]
                self._running = True
        if not request.done:
            try:
                self._run(group)
            finally:
                with self._change:
                    self._running = False
                    for member in group:
                        member.done = True
                    self._change.notify_all()
        if request.failed:
            raise RuntimeError("the forward that was batched with another session's failed there")
        return request.out, request.waited

    def _next(self) -> list[_Request]:
        """Return what runs next, if it is time: whoever has waited longest, whose thread runs it, and all of that kind.

        The longest and not the largest: a session that is behind the others would wait for their whole chunk and then
        compute alone, where a few forwards of its own bring it to the kind that they are at.
        """
        if self._running or not self._waiting or len(self._waiting) < self._seated:
            return []
        kind = self._waiting[0].kind
        group = [request for request in self._waiting if request.kind == kind]
        return group if self._together else group[:1]

    def _run(self, group: list[_Request]) -> None:
        start = time.perf_counter()
        stream, _, head = group[0].kind
        parts = [request.part for request in group]
        if len(parts) == 1 and self._graphs is not None:
            group[0].out = self._graphs.forward(parts[0], stream, head=head)
        elif (outs := self._forward(parts, stream, head=head)) is not None:
            for request, out in zip(group, outs, strict=True):
                request.out = out
        for request in group:
            request.waited, request.failed = start - request.since, False


class Seat:
    """A seat is one session's place. ``with seat:`` may be nested; it is taken by the first forward, not before, so
    that nobody waits for pictures to be encoded, and given up at the end of the outermost."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher, self._depth, self._taken = batcher, 0, False
        self.waited = 0.0
        """Forwards have waited for other sessions for so many seconds."""

    def __enter__(self) -> Seat:
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0 and self._taken:
            self._taken = False
            self._batcher.leave()

    def forward(self, part: Part, stream: Stream, *, head: bool) -> Tensor | None:
        if not self._taken:
            self._batcher.sit()
            self._taken = True
        out, waited = self._batcher.forward(part, stream, head=head)
        self.waited += waited
        return out
