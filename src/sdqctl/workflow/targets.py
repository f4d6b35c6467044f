"""Where the value of a directive goes: to the file, to the steps after it, into a step, a block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from sdqctl.model.workflow import Nesting, Span, Step
from sdqctl.workflow.settings import Settings

_NOTHING: Mapping[str, object] = MappingProxyType({})


class Field(NamedTuple):
    """A field of Workflow, or of a record in it (`output.file`); the last value wins."""

    path: str
    place: bool = False
    """Whether `<path>_span` takes the value's place in the file."""
    keep: bool = False
    """Whether a value that is there already stays."""


class Lines(NamedTuple):
    """A text that grows by a line with each value."""

    path: str


class Adds(NamedTuple):
    """A tuple that grows by each value, which is a tuple too; records in it get their place."""

    path: str


class Setting(NamedTuple):
    """A setting in force for the steps of a kind that come after it."""

    kind: type[Step]
    field: str
    read: Callable[[Any], Any] | None = None
    """How the value stands in a step, where it is not simply that field of it."""
    many: bool = False
    """Whether values are pairs that stand beside those of other names."""
    once: bool = False
    """Whether it holds for one step only."""
    back: str | None = None
    """The word that lets it hold no longer."""

    def put(self, value: Any, settings: Settings) -> None:  # noqa: ANN401 - of the field's type
        """Let a value hold from here on."""
        if self.many:
            settings.put(self.kind, self.field, *value)
        else:
            settings.set(self.kind, self.field, value)

    def of(self, step: Step) -> Any:  # noqa: ANN401
        """The value that a step was made with."""
        return self.read(step) if self.read is not None else getattr(step, self.field)


class Makes(NamedTuple):
    """A step. Its fields are the settings in force, what is `given`, and the value."""

    kind: type[Step]
    field: str | None = None
    """The field for the value; None: there is no value."""
    given: Mapping[str, object] = _NOTHING
    complete: Callable[[dict[str, Any], Settings], None] | None = None
    """Works out fields that depend on others. Raises ValueError."""
    whole: bool = False
    """Whether the value is all fields of the step."""

    def step(self, span: Span, value: object, settings: Settings) -> Step:
        """The step of a value. Raises ValueError for one that cannot be."""
        fields = {**settings.of(self.kind), **self.given}
        if self.whole:
            fields |= cast("Mapping[str, Any]", value)
        elif self.field is not None:
            fields[self.field] = value
        if self.complete is not None:
            self.complete(fields, settings)
        settings.made[self.kind] += 1
        return self.kind(span=span, **fields)


class Opens(NamedTuple):
    """A block of steps up to END that depends on the RUN before."""

    when: str
    """`failure` or `success`."""


class Nests(NamedTuple):
    """A block of steps up to END: a step with lists in it. Its value is the step's fields."""

    kind: type[Nesting]


class Parts(NamedTuple):
    """Another part of an IF; its value is the condition, None for ELSE alone."""


class Captures(NamedTuple):
    """The step above, whose result becomes a value."""


class Closes(NamedTuple):
    """The end of a block."""


class Included(NamedTuple):
    """Directives of another file, which `source` puts into this place before."""


class Refused(NamedTuple):
    """Nowhere: the directive is known and not supported."""


Target = (
    Field
    | Lines
    | Adds
    | Setting
    | Makes
    | Opens
    | Nests
    | Parts
    | Captures
    | Closes
    | Included
    | Refused
)
