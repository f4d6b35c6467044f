"""The keys about sessions: look, copy, go back, apply, export, keep, delete."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work

from sdqctl.cli.ui.asking import Asking
from sdqctl.cli.ui.keys import KEYS
from sdqctl.cli.ui.pages import Page
from sdqctl.cli.ui.preview import detail_lines, diff_lines
from sdqctl.cli.ui.text import Line
from sdqctl.model.run import StepStatus
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.sessions.query import Entry


class SessionKeys(Asking):
    """What they do."""

    @work
    async def action_open(self) -> None:
        """Its steps and the whole talk."""
        if (item := self.item) is None:
            return
        found = await self.in_thread(lambda: self.detail(item.entry))
        if found is not None:
            await self.push_screen(Page(item.entry.info.label, detail_lines(found)))

    @work
    async def action_diff(self) -> None:
        """What a step, or all of them, changed in files."""
        if (item := self.item) is None:
            return
        entry = item.entry
        found = await self.in_thread(lambda: self.detail(entry))
        if found is None:
            return
        choices = [("all", "all steps together")]
        choices += [(one.path, f"step {one.path}: {one.summary}") for one in found.files]
        step: str | None = "all"
        if len(choices) > 2:
            step = await self.choose(f"Changes of {entry.info.label}", choices)
        if step is None:
            return
        text = await self.in_thread(lambda: self._diff(entry, None if step == "all" else step))
        if text is not None:
            lines = diff_lines(text) if text else [Line("nothing changed", "dim")]
            await self.push_screen(Page(f"{entry.info.label}: {step}", lines))

    def _diff(self, entry: Entry, step: str | None) -> str:
        from sdqctl.sessions.files import find_range

        found = find_range(self.access, entry.info.id, step, entry.info.adapter)
        return found.diff("patch").decode("utf-8", "backslashreplace")

    def action_help(self) -> None:
        """All keys."""
        lines = [Line(f"{key.shown:>5}  {key.help}") for key in KEYS]
        lines += [
            Line(""),
            Line("  Tab  Between the list and what is said", "dim"),
            Line("  Esc  No search, no filter any more", "dim"),
            Line("   ^p  All keys as commands, found as you type", "dim"),
        ]
        self.push_screen(Page("Keys", lines))

    @work
    async def action_filter(self) -> None:
        """Set a filter, or take it away."""
        chosen = await self.choose("Show only", self.view.choices())
        if chosen is not None:
            self.view.toggle(chosen)
            self._show()

    async def _step(self, entry: Entry, title: str, first: tuple[str, str] | None) -> str | None:
        """A step that is done, as a place; `first` is a choice besides."""
        found = await self.in_thread(lambda: self.detail(entry))
        if found is None:
            return None
        steps = found.runs[-1][1] if found.runs else []
        choices = [first] if first is not None else []
        choices += [
            (one.path, f"{one.path}  {one.kind}: {one.title}")
            for one in reversed(steps)
            if one.status is StepStatus.DONE
        ]
        if not choices:
            self.tell("no step of it is done", severity="warning")
            return None
        return await self.choose(title, choices)

    @work
    async def action_fork(self) -> None:
        """Copy it under another name."""
        from sdqctl.sessions.fork import fork_session

        if (item := self.item) is None:
            return
        info = item.entry.info
        at = await self._step(item.entry, f"Fork {info.label} up to", ("end", "the end"))
        if at is None:
            return
        name = await self.line("Name of the copy")
        if name is None:
            return
        place = None if at == "end" else at
        done = await self.in_thread(
            lambda: fork_session(self.access, info.id, name, place, info.adapter)
        )
        if done is not None:
            self.tell("; ".join([f"forked as {name}", *done.calls]))
            self.action_reread()

    @work
    async def action_rewind(self) -> None:
        """Go back to a step."""
        from sdqctl.sessions.rewind import rewind_session

        if (item := self.item) is None:
            return
        info = item.entry.info
        to = await self._step(item.entry, f"Rewind {info.label}: the last step to keep", None)
        if to is None:
            return
        about = [Line("Talk and files go back; `sdqctl sessions redo` undoes it.")]
        if not await self.is_sure(f"Rewind {info.label} to step {to}?", about):
            return
        done = await self.in_thread(
            lambda: rewind_session(self.access, info.id, to, adapter=info.adapter)
        )
        if done is not None:
            self.tell(f"rewound to step {to}: {done.steps} steps and {done.files or 0} files")
            self.action_reread()

    @work
    async def action_apply(self) -> None:
        """Bring its changes into a branch."""
        from sdqctl.sessions.apply import How, apply_session

        if (item := self.item) is None:
            return
        info = item.entry.info
        choices = [
            (How.TREE.value, "into my work tree, uncommitted"),
            (How.COMMIT.value, "as a commit on the branch that is checked out"),
            (How.BRANCH.value, "as a commit on another branch"),
        ]
        chosen = await self.choose(f"Apply the changes of {info.label}", choices)
        if chosen is None:
            return
        branch = None
        if How(chosen) is How.BRANCH and (branch := await self.line("Branch")) is None:
            return
        done = await self.in_thread(
            lambda: apply_session(
                self.access, info.id, How(chosen), branch=branch, adapter=info.adapter
            )
        )
        if done is not None:
            self.tell(f"{done.files} files applied in {done.top}")

    @work
    async def action_get(self) -> None:
        """Bring it here."""
        if (item := self.item) is not None and await self.bring(item.entry):
            self.tell(f"{one_line(item.entry.info.label)} is here")

    @work
    async def action_export(self) -> None:
        """Write it to a file."""
        from sdqctl.sessions.export import export_file

        if (item := self.item) is None:
            return
        info = item.entry.info
        about = [Line(".html, .md, .json, .jsonl, or .sdqctl for a bundle; without secrets", "dim")]
        name = "".join(c if c.isalnum() or c in "-_." else "-" for c in info.label)
        path = await self.line(f"Export {info.label} to", about, f"{name}.html")
        if path is None:
            return
        target = self.access.directory / Path(path).expanduser()
        if target.exists() and not await self.is_sure(f"Replace {target}?"):
            return
        done = await self.in_thread(lambda: export_file(self.access, info.id, target, info.adapter))
        if done is not None:
            self.tell("; ".join([f"exported to {target}", *done]))

    @work
    async def action_keep(self) -> None:
        """Protect it from cleanup, or no longer."""
        from sdqctl.sessions.marks import keep_session

        if (item := self.item) is None:
            return
        info, keep = item.entry.info, not item.entry.kept
        done = await self.in_thread(
            lambda: keep_session(self.access, info.id, info.adapter, keep=keep)
        )
        if done is not None:
            self.tell("kept: cleanup leaves it alone" if keep else "no longer kept")
            self.action_reread()

    @work
    async def action_delete(self) -> None:
        """Move it to the trash, once it was said what goes."""
        from sdqctl.sessions.choosing import choose_named
        from sdqctl.sessions.delete import delete_entries
        from sdqctl.sessions.query import Query

        if (item := self.item) is None:
            return
        info = item.entry.info
        choice = await self.in_thread(
            lambda: choose_named(self.access, [info.id], Query(), info.adapter)
        )
        if choice is None:
            return
        if not await self.is_sure(f"Move {info.label} to the trash?", _what_goes(choice.going)):
            return
        done = await self.in_thread(lambda: delete_entries(self.access, choice))
        if done is None:
            return
        for entry, error in done.failed:
            self.tell(f"{one_line(entry.info.label)}: {error.message}", severity="error")
        if done.deleted:
            self.tell("deleted; `sdqctl sessions restore` brings it back")
        for worktree, lost in done.worktrees:
            self.tell(f"its worktree stays, {lost} would be lost: {worktree.path}", "warning")
        self.action_reread()

    def action_folder(self) -> None:
        """A shell in its folder."""
        item = self.item
        folder = Path(item.entry.info.cwd or "") if item is not None else Path()
        if not folder.is_dir():
            self.tell(f"there is no folder {folder} any more", severity="error")
            return
        shell = self.access.environment.get("SHELL") or "/bin/sh"
        with self.suspend():  # an error that left it would leave the screen as it is
            print(f"{shell} in {one_line(str(folder))}; exit comes back")
            problem = _in_shell(shell, folder)
        if problem is not None:
            self.tell(f"no shell can be opened (SHELL): {problem}", severity="error")
        self.action_reread()


def _in_shell(shell: str, folder: Path) -> str | None:
    """Let the user work in a shell; returns why that cannot be."""
    try:
        subprocess.run([shell], cwd=folder, env=dict(os.environ), check=False)
    except OSError as error:
        return str(error)
    return None


def _what_goes(entries: Sequence[Entry]) -> list[Line]:
    """What would be lost."""
    lines = []
    for entry in entries[:8]:
        run = entry.run
        left = run is not None and run.status.unfinished
        steps = f", {run.steps_done} of {run.steps_total} steps done" if run is not None else ""
        style = "yellow" if left or entry.kept else ""
        kept = ", kept" if entry.kept else ""
        lines.append(Line(one_line(f"{entry.info.label}: {entry.status}{steps}{kept}"), style))
    if len(entries) > 8:
        lines.append(Line(f"… and {len(entries) - 8} more that its runs called"))
    return lines
