"""The keys: what each does, and for which session it can be pressed. The bar below the screen, the
help and the palette show them from here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeGuard

from sdqctl.model.run import RunStatus
from sdqctl.sessions.board import Item

_Applies = Callable[[Item | None], bool]


def _always(item: Item | None) -> bool:
    return True


def _is_here(item: Item | None) -> TypeGuard[Item]:
    return item is not None and not item.entry.info.is_remote


def _is_elsewhere(item: Item | None) -> bool:
    return item is not None and item.entry.info.is_remote


def _is_free(item: Item | None) -> TypeGuard[Item]:
    return item is not None and item.entry.holder is None


def _at_rest(item: Item | None) -> bool:
    return _is_here(item) and _is_free(item)


def _with_trees(item: Item | None) -> bool:
    return _is_here(item) and item.entry.has_snapshots()


def _rests_with_trees(item: Item | None) -> bool:
    return _at_rest(item) and _with_trees(item)


def _asked(item: Item | None) -> bool:
    """Whether something can be answered: a question, or the message of a run that stopped."""
    if item is None:
        return False
    run = item.entry.run
    paused = run is not None and run.status is RunStatus.PAUSED and item.entry.holder is None
    return item.question is not None or paused


def _unfinished(item: Item | None) -> bool:
    return _is_free(item) and item.entry.unfinished()


def _under_way(item: Item | None) -> bool:
    run = item.entry.run if item is not None else None
    held = _is_here(item) and not _is_free(item)
    return held and run is not None and run.status is RunStatus.RUNNING


def _in_folder(item: Item | None) -> bool:
    return _is_here(item) and item.entry.info.cwd is not None


class Key(NamedTuple):
    """One key."""

    key: str
    shown: str
    action: str
    label: str
    help: str
    applies: _Applies = _always


KEYS = (
    Key("enter", "↵", "open", "open", "Show its steps and the whole talk", _is_here),
    Key("a", "a", "answer", "answer", "Answer what its run asks", _asked),
    Key("c", "c", "continue", "continue", "Go on with its run, in the background", _unfinished),
    Key("p", "p", "prompt", "prompt", "Send a prompt, in the background", _is_free),
    Key("x", "x", "interrupt", "interrupt", "End the run that is under way", _under_way),
    Key("d", "d", "diff", "diff", "Show what a step, or all, changed in files", _with_trees),
    Key("n", "n", "new", "new run", "Begin a run in the background"),
    Key("f", "f", "fork", "fork", "Copy it under another name, up to a step", _at_rest),
    Key("w", "w", "rewind", "rewind", "Go back to a step, in talk and files", _rests_with_trees),
    Key("m", "m", "apply", "apply", "Bring its changes into your branch", _rests_with_trees),
    Key("g", "g", "get", "get it here", "Bring it here from the shared store", _is_elsewhere),
    Key("e", "e", "export", "export", "Write it to a file: a page, text, data, a bundle", _is_here),
    Key("k", "k", "keep", "keep", "Protect it from cleanup, or no longer", _is_here),
    Key("delete,backspace", "del", "delete", "delete", "Move it to the trash", _at_rest),
    Key("o", "o", "folder", "folder", "Open a shell in its folder", _in_folder),
    Key("slash", "/", "search", "search", "Find sessions by name and by all that was said"),
    Key("F", "F", "filter", "filter", "Show only some: by folder, status, agent, age"),
    Key("r", "r", "reread", "reread", "Read everything anew"),
    Key("question_mark", "?", "help", "keys", "Show all keys"),
    Key("q", "q", "quit", "quit", "Leave; runs go on"),
)


def applying(item: Item | None) -> list[Key]:
    """The keys that can be pressed now."""
    return [key for key in KEYS if key.applies(item)]
