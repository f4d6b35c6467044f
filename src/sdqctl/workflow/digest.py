"""What a step is known by when the workflow is edited: a digest of what it does."""

from __future__ import annotations

import hashlib

import msgspec

from sdqctl.model.plan import (
    Action,
    Condition,
    FilePart,
    OutputPart,
    PromptAction,
    ReferencesPart,
    TextPart,
)
from sdqctl.model.workflow import (
    CheckpointStep,
    CompactStep,
    ConsultStep,
    NewConversationStep,
    PauseStep,
    Reference,
    RunStep,
    RunWaitStep,
    Span,
    VerifyStep,
)

_FIELDS_OF_0_1: dict[type, int] = {
    PromptAction: 4,
    RunStep: 13,
    RunWaitStep: 2,
    VerifyStep: 5,
    CompactStep: 5,
    CheckpointStep: 2,
    PauseStep: 2,
    ConsultStep: 3,
    NewConversationStep: 1,
    TextPart: 1,
    FilePart: 2,
    ReferencesPart: 1,
    Reference: 4,
}
"""How many fields a digest has whatever they hold. A later one counts when it is not the default:
a step that does not use it is still the step that an unfinished run of an older version knows.
"""


def digest_of(action: Action, position: int, condition: Condition | None) -> str:
    """What the step does, without places in the file and with positions relative to it."""
    return hashlib.sha256(
        msgspec.json.encode([_plain(action, position), _plain(condition, position)])
    ).hexdigest()


def _plain(value: object, position: int) -> object:
    if isinstance(value, Span):
        return None
    if isinstance(value, OutputPart):
        return {"output": position - value.position}
    if isinstance(value, Condition):
        return {"after": [position - p for p in value.positions], "when": value.when}
    if isinstance(value, msgspec.Struct):
        return {"": value.__struct_config__.tag, **_plain_fields(value, position)}
    if isinstance(value, tuple):
        return [_plain(item, position) for item in value]
    return value


def _plain_fields(value: msgspec.Struct, position: int) -> dict[str, object]:
    names, defaults = value.__struct_fields__, value.__struct_defaults__
    later = names[_FIELDS_OF_0_1.get(type(value), 0) :]
    default = dict(zip(reversed(names), reversed(defaults), strict=False)) if later else {}
    return {
        name: _plain(getattr(value, name), position)
        for name in names
        if name not in later or getattr(value, name) != default.get(name, msgspec.NODEFAULT)
    }
