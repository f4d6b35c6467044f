"""What an agent may say to us: updates of a turn, requests for permission, questions."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acp.schema import (
        AcceptElicitationResponse,
        DeclineElicitationResponse,
        PermissionOption,
        RequestPermissionResponse,
        ToolCallUpdate,
    )

_LOG = logging.getLogger(__name__)

Update = Mapping[str, Any]
"""An update as the protocol writes it: JSON with `sessionUpdate`."""
Permission = Callable[
    [Update, "Sequence[PermissionOption]"], "Awaitable[RequestPermissionResponse]"
]


Question = Callable[
    [str, Update], "Awaitable[AcceptElicitationResponse | DeclineElicitationResponse]"
]


class AgentClient:
    """Gives what one agent says to whoever listens just now; one session an agent.

    No files and no terminals are offered: an agent uses its own tools, inside the net.
    """

    def __init__(self, declares: Mapping[str, Any]) -> None:
        self.declares = declares
        """Extensions of the protocol that we know."""
        self.others: set[str] = set()
        """Sessions whose updates are passed over: copies, whose replay may come late."""
        self.on_update: Callable[[Update], None] = lambda update: None
        self.on_permission: Permission = _refuse
        self.on_question: Question = _decline

    def on_connect(self, _: object) -> None:
        """Called by the library."""

    async def session_update(self, session_id: str, update: Any, **_: object) -> None:  # noqa: ANN401 - a model of the library
        """An update. Those that come at one time are given on in their order."""
        if session_id not in self.others:
            self.on_update(update.model_dump(mode="json", by_alias=True, exclude_none=True))

    async def request_permission(
        self,
        session_id: str,
        tool_call: ToolCallUpdate,
        options: list[PermissionOption],
        **_: object,
    ) -> RequestPermissionResponse:
        """A tool wants to act."""
        call = tool_call.model_dump(mode="json", by_alias=True, exclude_none=True)
        return await self.on_permission(call, options)

    async def create_elicitation(
        self,
        message: str,
        mode: Any,  # noqa: ANN401 - a model of the library
        **_: object,
    ) -> AcceptElicitationResponse | DeclineElicitationResponse:
        """The agent asks the user something."""
        asked = mode.model_dump(mode="json", by_alias=True, exclude_none=True)
        return await self.on_question(message, asked.get("requestedSchema") or {})

    async def ext_notification(self, method: str, params: dict[str, Any]) -> None:
        """What only this agent says."""
        _LOG.debug("passed over: %s", method)


async def _refuse(_: Update, options: Sequence[PermissionOption]) -> RequestPermissionResponse:
    from sdqctl.adapters.acp.requests import answer

    return answer(options, allowed=False)


async def _decline(_: str, __: Update) -> AcceptElicitationResponse | DeclineElicitationResponse:
    from sdqctl.adapters.acp.questions import reply

    return reply(None)
