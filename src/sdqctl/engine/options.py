"""The options of one run, merged once: what is asked for, over what is recorded or configured."""

from __future__ import annotations

import msgspec

from sdqctl.config import Settings
from sdqctl.errors import UsageError
from sdqctl.model.modes import MODES, is_known_mode
from sdqctl.model.options import OPTIONS, RunOptions, decoded
from sdqctl.text.suggest import meant

_WORKFLOW_FIRST = ("adapter", "model", "resume_if_exists", "sandbox")
"""Settings that a workflow goes before: they are asked for when neither it nor a flag has a say."""


def configured(settings: Settings) -> RunOptions:
    """The options that the configuration gives every run. Raises UsageError for a value that is
    none.
    """
    from_project = "allow_tools" in settings.from_project
    try:
        options: RunOptions = msgspec.convert(
            settings, RunOptions, from_attributes=True, dec_hook=decoded
        )
    except msgspec.ValidationError as error:
        raise UsageError(
            f"a setting cannot be taken: {error}", hint="docs/configuration.md has the settings"
        ) from error
    return msgspec.structs.replace(
        options,
        repository_tools=settings.allow_tools if from_project else (),
        **dict.fromkeys(_WORKFLOW_FIRST),
    )


def over(above: RunOptions, below: RunOptions) -> RunOptions:
    """The options of `above`, and of `below` where it asks for nothing; rules of tools add up.

    Raises UsageError for a mode of `above` that is none: it would silently allow reading only.
    """
    if above.mode is not None and not is_known_mode(above.mode):
        raise UsageError(
            f"--mode {above.mode}: there is no such mode", hint=meant(above.mode, MODES, "modes")
        )
    asked = {name: getattr(above, name) for name in OPTIONS}
    changes = {name: value for name, value in asked.items() if value not in (None, ())}
    changes |= {
        "allow_tools": (*below.allow_tools, *above.allow_tools),
        "deny_tools": (*below.deny_tools, *above.deny_tools),
        "allow_all_tools": below.allow_all_tools or above.allow_all_tools,
    }
    return msgspec.structs.replace(below, **changes)


def renewed(options: RunOptions, now: RunOptions) -> RunOptions:
    """The options of an earlier run, with what the configuration says by now about safety.

    Denials that have come since add up; what a repository allowed holds as long as its trust.
    """
    allowed = [*options.allow_tools]
    for rule in {*options.repository_tools} & {*allowed}:
        allowed.remove(rule)
    kept = {name: getattr(options, name) for name in OPTIONS}
    changes = {name: value for name, value in kept.items() if value not in (None, ())}
    changes |= {
        "allow_tools": (*allowed, *now.repository_tools),
        "repository_tools": now.repository_tools,
        "deny_tools": tuple(dict.fromkeys((*options.deny_tools, *now.deny_tools))),
    }
    return msgspec.structs.replace(now, **changes)
