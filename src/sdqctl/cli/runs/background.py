"""A run in the background: forked into a session of its own once its command is read.

The command waits until the run is under way, so that what cannot be done fails in the foreground;
from then on the run's log speaks, and `sdqctl watch` follows it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import msgspec

from sdqctl.cli.output import note, write_json, write_line
from sdqctl.engine.detached import error_of
from sdqctl.errors import InterruptedRunError, PausedError, SdqctlError, UsageError
from sdqctl.model.events import Event, RunStarted, SessionOpened
from sdqctl.model.views.failure import FailureView
from sdqctl.model.views.run import DetachedView, SessionName
from sdqctl.text.commands import on_session
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.options import Display
    from sdqctl.store.run_logs import RunLog


class _Told(msgspec.Struct):
    """What the process of a run tells the command that waits."""

    begun: DetachedView | None = None
    failure: FailureView | None = None


def in_background(app: App, display: Display, work: Callable[[Display], int]) -> int:
    """Do `work` in a process of its own, and say which run it is once that is under way.

    Raises the error that the run ended with before, UsageError for flags that do not go together.
    """
    if display.dry_run or display.output_format == "jsonl":
        raise UsageError(
            "--detach goes with neither --dry-run nor --format jsonl",
            hint="`sdqctl watch NAME --format jsonl` follows the events",
        )
    told, tells = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _be_background(app, display, work, tells)
    os.close(tells)
    return _report(_wait(told, pid), display)


def _wait(told: int, pid: int) -> bytes:
    """What the process tells; a Ctrl-C meanwhile ends it as it would have ended the run."""
    found = b""
    with os.fdopen(told, "rb", buffering=0) as pipe:
        while True:
            try:
                data = pipe.read(65536)
            except KeyboardInterrupt:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                continue
            if not data:
                return found
            found += data


def _report(found: bytes, display: Display) -> int:
    if not found:
        raise InterruptedRunError(
            "the process in the background ended before the run was under way",
            hint="`sdqctl sessions list` shows what was recorded; give the command again",
        )
    # Both may come: a run that fails at once was under way, and its log says how it ended.
    told = msgspec.json.Decoder(_Told).decode_lines(found)[0]
    if told.begun is None:
        assert told.failure is not None, "it tells one of the two"
        raise error_of(told.failure)
    begun = told.begun
    if display.output_format == "json":
        write_json(begun)
        return 0
    name = begun.session.name or begun.session.id
    write_line(one_line(name))
    if not display.quiet:
        watching = on_session("watch", one_line(name))
        ending = on_session("sessions interrupt", one_line(name))
        note(
            f"it goes on in the background (process {begun.pid}): `{watching}` follows it, "
            f"`{ending}` ends it"
        )
    return 0


# -- in the process of the run ---------------------------------------------------------------------


def _be_background(
    app: App, display: Display, work: Callable[[Display], int], tells: int
) -> NoReturn:
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the run heeds it itself
        code = _do(app, display, work, tells)
    finally:
        os._exit(code)


def _do(app: App, display: Display, work: Callable[[Display], int], tells: int) -> int:
    from sdqctl.store.redact import Redactor
    from sdqctl.store.run_logs import LogEnded, RunLog

    redact = Redactor(app.environment)
    failure: FailureView | None = None
    log: RunLog | None = None
    paused_at = None
    try:
        with _deaf():
            log = RunLog(app.home, redact.data)
        _leave_terminal()
        teller = _Teller(tells, log)
        display = replace(display, output_format="none", quiet=True, detach=False, log=teller)
        code = work(display)
    except SdqctlError as error:
        code = error.exit_code
        paused_at = error.path if isinstance(error, PausedError) else None
        failure = FailureView(code=error.code, exit=code, message=error.message, hint=error.hint)
    except KeyboardInterrupt:
        code = InterruptedRunError.exit_code
        failure = FailureView(code="interrupted", exit=code, message="interrupted", hint=None)
    except Exception as error:  # noqa: BLE001 - the boundary of this process
        code, text = 1, f"{type(error).__name__}: {error}"
        hint = "this is a bug in sdqctl; without --detach, `sdqctl --debug` shows the traceback"
        failure = FailureView(code="bug", exit=1, message=text, hint=hint)
    with _deaf():
        if log is not None:
            log.end(LogEnded(exit=code, error=failure, paused_at=paused_at))
        if failure is not None:
            clean = msgspec.convert(redact.data(msgspec.to_builtins(failure)), FailureView)
            with suppress(OSError):  # nobody waits any more
                os.write(tells, msgspec.json.encode(_Told(failure=clean)) + b"\n")
    return code


@contextmanager
def _deaf() -> Iterator[None]:
    """What asks this process to end waits, so that no log is begun that nobody ends."""
    asks = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, asks)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, asks)


def _leave_terminal() -> None:
    """Nothing is read from the terminal that the command was given in, and nothing written."""
    with open(os.devnull, "r+b", buffering=0) as nothing:
        for stream in (0, 1, 2):
            os.dup2(nothing.fileno(), stream)


class _Teller:
    """A sink that writes the log, and tells the waiting command once that the run is under way."""

    def __init__(self, tells: int, log: RunLog) -> None:
        self._tells: int | None = tells
        self._log = log
        self._opened: SessionOpened | None = None

    def __call__(self, event: Event) -> None:
        self._log(event)
        if isinstance(event, SessionOpened):
            self._opened = event
        elif isinstance(event, RunStarted) and self._tells is not None:
            self._tell(self._tells, event)

    def _tell(self, tells: int, event: RunStarted) -> None:
        opened = self._opened
        assert opened is not None, "a run begins in an open session"
        view = DetachedView(
            session=SessionName(id=opened.session_id, name=opened.name),
            adapter=opened.adapter,
            run=event.run_id,
            pid=os.getpid(),
            log=str(self._log.path),
        )
        with suppress(OSError):
            os.write(tells, msgspec.json.encode(_Told(begun=view)) + b"\n")
        os.close(tells)
        self._tells = None
