"""Setting what a session runs with: the mode in which the agent asks, and the model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sdqctl.adapters.acp.process import AgentProcess, AgentRefusedError
from sdqctl.errors import CapabilityError, RuntimeFailure

if TYPE_CHECKING:
    from acp.schema import LoadSessionResponse, NewSessionResponse

_MODE = "mode"
_MODEL = "model"


async def set_mode(
    agent: AgentProcess,
    session_id: str,
    opened: NewSessionResponse | LoadSessionResponse | None,
    mode: str,
    *,
    name: str,
) -> None:
    """Put a session into a mode, after it was made and after each load.

    By the option where there is one, else by the older call. Raises RuntimeFailure when the agent
    takes neither: in another mode it may act without asking.
    """
    try:
        if mode in _values(opened, _MODE):
            await _choose(agent, session_id, opened, _MODE, mode)
        else:
            setting = agent.connection.set_session_mode(session_id=session_id, mode_id=mode)
            await agent.ask(setting, f"go into its mode {mode!r}")
    except AgentRefusedError as error:
        raise RuntimeFailure(
            f"{error.message}; in another mode it may act without asking",
            hint=f"`sdqctl agents check {name}` shows what it does; "
            f"`[agents.{name}] mode` names another mode",
        ) from error


async def set_model(
    agent: AgentProcess,
    session_id: str,
    opened: NewSessionResponse | LoadSessionResponse | None,
    model: str,
    *,
    name: str,
) -> None:
    """Choose the model. Raises CapabilityError that names those there are."""
    known = _values(opened, _MODEL)
    if model not in known:
        what = f"offers {', '.join(known)}" if known else "does not let a client choose the model"
        raise CapabilityError(f"model {model!r} cannot be chosen: {name} {what}")
    await _choose(agent, session_id, opened, _MODEL, model)


async def _choose(
    agent: AgentProcess,
    session_id: str,
    opened: NewSessionResponse | LoadSessionResponse | None,
    category: str,
    value: str,
) -> None:
    (option,) = list(_options(opened, category))[:1]
    setting = agent.connection.set_config_option(
        config_id=option.id, session_id=session_id, value=value
    )
    await agent.ask(setting, f"set its {category} to {value!r}")


def _options(
    opened: NewSessionResponse | LoadSessionResponse | None, category: str
) -> Iterable[Any]:
    found = (opened.config_options or []) if opened is not None else []
    return (option for option in found if category in (option.category, option.id))


def _values(opened: NewSessionResponse | LoadSessionResponse | None, category: str) -> list[str]:
    """The values of an option; some agents put them in groups."""
    found: list[str] = []
    for option in _options(opened, category):
        for choice in getattr(option, "options", ()) or ():
            inner = getattr(choice, "options", None)
            found += [item.value for item in inner] if inner else [choice.value]
    return found
