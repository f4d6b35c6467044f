"""A session as text for people and programs: markdown, HTML, JSON, JSON lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from sdqctl.errors import StoreError, UsageError
from sdqctl.fs import led_to, writing
from sdqctl.model.views.run import FullRunView
from sdqctl.model.views.session import (
    FullSessionView,
    SessionLine,
    StepFilesView,
    TurnLine,
    TurnView,
)
from sdqctl.sessions.access import Access
from sdqctl.sessions.detail import SessionDetail, read_detail
from sdqctl.sessions.files import StepFiles
from sdqctl.sessions.query import view_fields
from sdqctl.sessions.resolve import find_session
from sdqctl.sessions.transcript import as_markdown
from sdqctl.text.terminal import sanitize

_SUFFIXES = {
    "": "md",
    ".md": "md",
    ".markdown": "md",
    ".txt": "md",
    ".html": "html",
    ".htm": "html",
    ".json": "json",
    ".jsonl": "jsonl",
    ".sdqctl": "bundle",
    ".zip": "bundle",
}


def exported(
    found: SessionDetail, output_format: str, redact: Callable[[str], str] = lambda text: text
) -> str:
    """The session in `md`, `html`, `json` or `jsonl`.

    `redact` takes the secrets out of what steps changed, which a page has folded in.
    """
    if output_format == "md":
        return as_markdown(found.entry.info.label, found.turns)
    if output_format == "html":
        from sdqctl.sessions.export.html import as_html

        changes = {
            (step.run_id, step.path): (step.summary, redact(step.diff())) for step in found.files
        }
        runs = [(tree.run, steps) for tree, steps in found.runs]
        return as_html(found.entry.info, found.turns, runs, changes)
    if output_format == "jsonl":
        head = SessionLine(**view_fields(found.entry), turns=len(found.turns))
        lines = (head, *map(TurnLine.of, found.turns))
        return "".join(msgspec.json.encode(line).decode() + "\n" for line in lines)
    document = session_view(found)
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def export_file(
    access: Access, argument: str, path: Path, adapter: str | None = None
) -> tuple[str, ...]:
    """Write a session to a file in the format that its suffix says, without secrets; returns lines
    about what it calls that is not in it. Raises UsageError for a suffix that says none,
    StoreError, SessionBusyError.
    """
    from sdqctl.store.redact import Redactor

    output_format = format_of(path)
    if output_format == "bundle":
        from sdqctl.sessions.transfer import bundle_session

        entry = find_session(access, argument, adapter)
        return bundle_session(access, entry.info, path).calls
    found = read_detail(access, argument, adapter)
    text = exported(found, output_format, Redactor(access.environment))
    write_export(path, sanitize(text) if output_format == "md" else text)
    return ()


def format_of(path: Path) -> str:
    """The format that a file's suffix says. Raises UsageError for one that says none."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(
            f"{path}: the suffix {suffix} says no format",
            hint="say --format md, html, json, jsonl or bundle",
        )
    return _SUFFIXES[suffix]


def write_export(path: Path, text: str) -> None:
    """Write an export where the user wants it; a file is its owner's alone. Raises StoreError."""
    if not path.absolute().parent.is_dir():
        raise StoreError(f"{path} cannot be written: there is no folder {path.parent}")
    try:
        with writing(led_to(path)) as stream:
            stream.write(text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def _files_view(step: StepFiles) -> StepFilesView:
    return StepFilesView(
        run=step.run_id,
        path=step.path,
        before=step.before,
        after=step.after,
        files=step.files,
    )


def session_view(found: SessionDetail, *, with_audit: bool = False) -> FullSessionView:
    """A session as `sessions show --format json` has it."""
    return FullSessionView(
        **view_fields(found.entry),
        turns=[TurnView.of(turn) for turn in found.turns],
        runs=[FullRunView.with_steps(tree, steps) for tree, steps in found.runs],
        files=[_files_view(each) for each in found.files],
        audit=found.requests if with_audit else msgspec.UNSET,
    )
