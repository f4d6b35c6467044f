"""An agent's question to the user (an elicitation): a form, whose fields are asked one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from acp.schema import AcceptElicitationResponse, DeclineElicitationResponse

    from sdqctl.adapters.base import AskUser

_YES, _NO = "yes", "no"


class _Field(NamedTuple):
    name: str
    kind: str
    question: str
    choices: tuple[str, ...]

    def ask(self, ask: AskUser) -> object | None:
        """The answer as the form wants it; None where there is none that fits."""
        if self.kind == "array":
            listed = f"{self.question} ({', '.join(self.choices)}; several with commas)"
            found = [word.strip() for word in (ask(listed, ()) or "").split(",")]
            return [word for word in found if word in self.choices] or None
        said = ask(self.question, self.choices)
        try:
            return None if said is None else self._value(said)
        except ValueError:
            return None

    def _value(self, said: str) -> object:
        match self.kind:
            case "boolean":
                return said == _YES
            case "integer":
                return int(said)
            case "number":
                return float(said)
            case _:
                return said


def answers(message: str, form: Mapping[str, Any], ask: AskUser) -> dict[str, object] | None:
    """What a human says to a form (a JSON Schema of one flat object); None: it is declined, since
    nothing was said, or not all that is required.
    """
    found = {}
    for field in _fields(message, form.get("properties") or {}):
        value = field.ask(ask)
        if value is not None:
            found[field.name] = value
    return found if found and all(name in found for name in form.get("required") or ()) else None


def reply(
    content: Mapping[str, object] | None,
) -> AcceptElicitationResponse | DeclineElicitationResponse:
    """The answer in the protocol's words."""
    from acp.schema import AcceptElicitationResponse, DeclineElicitationResponse

    if content is None:
        return DeclineElicitationResponse(action="decline")
    return AcceptElicitationResponse(action="accept", content=dict(content))


def _fields(message: str, properties: Mapping[str, Mapping[str, Any]]) -> Iterator[_Field]:
    for number, (name, field) in enumerate(properties.items()):
        own = field.get("description") or field.get("title") or name
        text = message if number == 0 and not field.get("description") else str(own)
        kind = str(field.get("type"))
        choices = (_YES, _NO) if kind == "boolean" else tuple(_choices(field))
        yield _Field(name, kind, text, choices)


def _choices(field: Mapping[str, Any]) -> Iterator[str]:
    among: Mapping[str, Any] = field.get("items") or field
    titled: Sequence[Mapping[str, Any]] = among.get("oneOf") or among.get("anyOf") or ()
    yield from among.get("enum") or ()
    yield from (str(option["const"]) for option in titled if "const" in option)
