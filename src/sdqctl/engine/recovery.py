"""What is done about a prompt whose end was not seen. The runtime's journal decides.

The rules are those of docs/durability.md: finished in the journal: recorded from there; never
arrived: sent; interrupted without effects: taken out of the context and sent again; interrupted
after tools ran: by `--on-interrupted`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from sdqctl.adapters.base import AdapterSession, ReadsHistory, Rewinds, find_power, power
from sdqctl.adapters.registry import entry
from sdqctl.errors import ContextError, SharedTreeError, StepError
from sdqctl.model.followup import follow_up
from sdqctl.model.options import OnInterrupted
from sdqctl.model.run import OutcomeStatus, StepRecord, TurnOutcome
from sdqctl.model.session import ToolCall, Turn
from sdqctl.store.audit import acted_in
from sdqctl.store.ledger import Ledger
from sdqctl.text.commands import on_session
from sdqctl.text.terminal import title

_EARLIER_FOLLOW_UP = "The previous prompt was interrupted before you had finished."
"""How follow-ups of version 0.1 begin; they are recorded without what they follow."""
_NAMED = 3
_TITLE = 60
"""So many of the turns that would be lost are named, in so many characters."""


_SENT_AGAIN = {
    OnInterrupted.RESEND: ("resent", "as told"),
    OnInterrupted.REWIND: ("rewound", "with its files taken back"),
}
"""What is done, and how it is said."""
GoBack = Callable[[StepRecord, StepRecord, Iterable[str]], Awaitable[None]]
"""Makes the work tree what it was before the first of some attempts (`Tree.go_back`)."""


@dataclass(frozen=True)
class Recovery:
    """What became of an open turn, and what to send next (None: nothing, it is answered).

    `follows` is the turn that the prompt to send is to finish; `corrects`: it is about an answer.
    Files that went with the first prompt are in the conversation then, unless the agent `forgot`
    it. `warning`: why it is not done as was asked for.
    """

    action: str
    message: str
    prompt: str | None = None
    follows: str | None = None
    record: StepRecord | None = None
    outcome: TurnOutcome | None = None
    corrects: bool = False
    forgot: bool = False
    warning: str | None = None


def has_effects(session: AdapterSession, tools: Iterable[ToolCall]) -> bool:
    """Whether any of the tools may have changed something."""
    reading = entry(session.info.adapter).reading_tools
    return any(call.name not in reading for call in tools)


async def clear_context(
    session: AdapterSession, ledger: Ledger, record: StepRecord
) -> TurnOutcome | None:
    """Take an unanswered prompt out of the context where that is safe, and say how it stands.

    It stays when tools may have had effects, or when later turns stand after it. Of one that the
    agent forgot though tools acted in it, the record says so.
    """
    turn = record.turn(ledger.other_messages(record))
    outcome = await session.find_turn(turn)
    if outcome is None:
        return _forgotten(ledger, record)
    if outcome.status is OutcomeStatus.FINISHED:
        return outcome
    rewinding = find_power(session, Rewinds)
    if rewinding is None or has_effects(session, outcome.tools):
        return outcome
    if rewinding.rewind_problem(turn) or not await is_last(session, outcome):
        return outcome
    await rewinding.rewind(turn)
    return None


def _forgotten(ledger: Ledger, record: StepRecord) -> TurnOutcome | None:
    names = acted_in(ledger, record.run_id, record.turn_id or "")
    tools = tuple(ToolCall(id="", name=name) for name in names)
    return TurnOutcome(status=OutcomeStatus.INTERRUPTED, tools=tools) if tools else None


async def recover_turn(
    session: AdapterSession,
    ledger: Ledger,
    attempts: Sequence[StepRecord],
    policy: OnInterrupted,
    render: Callable[[], str],
    go_back: GoBack,
) -> Recovery:
    """Decide about the last of a step's attempts, oldest first.

    `render` makes the step's prompt again, for one that was kept without its secrets. The tree goes
    back first, as the conversation says until then that there is something to take back; where
    others were at work in it, the agent is asked to finish the prompt. Raises StepError with `fail`
    when tools may have had effects, with `resend` and `rewind` when other turns would be taken out
    of the conversation with it, and what `go_back` raises.
    """
    asked, found = _asked(attempts), await find_end(session, ledger, attempts)
    if found is None:
        message = "not answered and without effects; sent again"
        return Recovery("resent", message, _text(asked, render))
    attempt, outcome = found
    if outcome.status is OutcomeStatus.FINISHED:
        message = "its answer was found in the journal"
        return Recovery("recorded", message, record=attempt, outcome=outcome)
    if policy is OnInterrupted.FAIL:
        raise StepError(
            f"step {asked.path} was interrupted after {what_acted(session, outcome)}",
            hint="go on with `--on-interrupted continue`, or with `--on-interrupted resend`",
        )
    names = _tools(outcome) or _what_came(session)
    warning = None
    if policy in _SENT_AGAIN:
        files = policy is OnInterrupted.REWIND
        try:
            await take_out(session, ledger, attempts, go_back if files else None)
        except SharedTreeError as error:
            warning = f"{error.message} ({error.hint})"
        else:
            action, how = _SENT_AGAIN[policy]
            message = f"interrupted after {names}; sent again {how}"
            return Recovery(action, message, _text(asked, render))
    message = f"interrupted after {names}; the agent is asked to finish it"
    forgot = not await _message_ids(session, ledger, attempts)
    text = follow_up(_text(asked, render), whole=forgot)
    return Recovery("continued", message, text, asked.turn_id, forgot=forgot, warning=warning)


async def find_end(
    session: AdapterSession, ledger: Ledger, attempts: Sequence[StepRecord]
) -> tuple[StepRecord, TurnOutcome] | None:
    """How a step's attempts, oldest first, stand in the conversation: the one that says so, and its
    end. None: nothing of them is there any more, and no tool acted.
    """
    asked = _asked(attempts)
    for attempt in [attempts[-1]] if asked is attempts[-1] else [attempts[-1], asked]:
        outcome = await clear_context(session, ledger, attempt)
        if outcome is not None:
            return attempt, outcome
    return None


def what_acted(session: AdapterSession, outcome: TurnOutcome) -> str:
    """What came before the end of a turn that was cut off, for which it stays."""
    used = _tools(outcome)
    return f"tools ran ({used})" if used else _what_came(session)


def _tools(outcome: TurnOutcome) -> str:
    """The names of the tools that a turn used."""
    return ", ".join(sorted({call.name for call in outcome.tools}))


async def take_out(
    session: AdapterSession,
    ledger: Ledger,
    attempts: Sequence[StepRecord],
    go_back: GoBack | None,
) -> None:
    """Take a step's attempts out of the conversation, after their changes were taken back; of what
    the agent forgot only those are left.

    Raises StepError when other turns would be lost with it, and what `go_back` raises.
    """
    if not await _message_ids(session, ledger, attempts):
        if go_back is not None:
            await go_back(attempts[0], attempts[-1], ())
        return
    policy = OnInterrupted.RESEND if go_back is None else OnInterrupted.REWIND
    rewinding = power(session, Rewinds, f"--on-interrupted {policy}")
    first = await _first_in_context(session, ledger, attempts)
    await _refuse_to_lose_others(session, ledger, attempts, first)
    turn = first.turn(ledger.other_messages(first))
    if problem := rewinding.rewind_problem(turn):
        raise StepError(
            f"step {first.path} cannot be taken back: {problem}",
            hint="go on all the same with `--on-interrupted continue`",
        )
    if go_back is not None:
        await go_back(first, attempts[-1], ())
    await rewinding.rewind(turn)


def _what_came(session: AdapterSession) -> str:
    """What keeps a prompt that used no tools in the conversation."""
    return "it was sent" if find_power(session, Rewinds) is None else "a later turn"


def _asked(attempts: Sequence[StepRecord]) -> StepRecord:
    """The attempt that sent the step's own prompt, which the last one may only follow up."""
    own = [
        attempt
        for attempt in attempts
        if attempt.follows is None and not (attempt.prompt or "").startswith(_EARLIER_FOLLOW_UP)
    ]
    return own[-1] if own else attempts[-1]


async def _refuse_to_lose_others(
    session: AdapterSession, ledger: Ledger, attempts: Sequence[StepRecord], first: StepRecord
) -> None:
    """Raise StepError where turns of anything but this step stand after its first attempt.

    A session that cannot read its history cannot tell, so that nothing is taken out of it.
    """
    own = await _message_ids(session, ledger, attempts)
    reader = find_power(session, ReadsHistory)
    history = () if reader is None else await reader.history()
    place = next((index for index, turn in enumerate(history) if turn.message_id in own), None)
    later = [turn for turn in history[place:] if turn.message_id not in own]
    if not own or (place is not None and not later):
        return
    what = "; ".join(f"turn {turn.index}: {title(turn.prompt, _TITLE)}" for turn in later[:_NAMED])
    more = f" and {len(later) - _NAMED} more" if len(later) > _NAMED else ""
    fork = on_session("sessions fork", session.info.label, f"--at turn:{place}", more="COPY")
    raise StepError(
        f"step {first.path} cannot be sent again: the conversation would lose what came after "
        f"it ({f'{what}{more}' if later else 'its history cannot be read'})",
        hint="go on all the same with `--on-interrupted continue`"
        + (f", or go on in a copy that ends before it: `{fork}`" if place else ""),
    )


async def _message_ids(
    session: AdapterSession, ledger: Ledger, attempts: Sequence[StepRecord]
) -> set[str | None]:
    """The runtime's ids of those attempts that stand in the conversation."""
    found = [await session.find_turn(a.turn(ledger.other_messages(a))) for a in attempts]
    return {outcome.message_id for outcome in found if outcome is not None}


def _text(record: StepRecord, render: Callable[[], str]) -> str:
    exact = record.exact_prompt
    return render() if exact is None else exact


async def check_context(session: AdapterSession, done: Iterable[StepRecord]) -> None:
    """Read the history back: each answered prompt must stand in it exactly once.

    Raises ContextError that names the step otherwise. A session that cannot read its history is
    not checked.
    """
    reader = find_power(session, ReadsHistory)
    if reader is None:
        return
    seen = Counter(turn.message_id for turn in await reader.history())
    for record in done:
        if record.message_id is None:
            continue
        count = seen[record.message_id]
        if count != 1:
            what = "is not in the conversation any more" if count == 0 else f"stands {count} times"
            raise ContextError(
                f"the prompt of step {record.path} ({record.title}) {what}",
                hint=f"start again from it with `--from {record.path}`",
            )


async def _first_in_context(
    session: AdapterSession, ledger: Ledger, attempts: Sequence[StepRecord]
) -> StepRecord:
    for record in attempts:
        turn = record.turn(ledger.other_messages(record))
        if await session.find_turn(turn) is not None:
            return record
    return attempts[-1]


async def is_last(session: AdapterSession, outcome: TurnOutcome) -> bool:
    """Whether no other turn stands after one in the conversation, as far as it can be read."""
    reader = find_power(session, ReadsHistory)
    history: Sequence[Turn] = () if reader is None else await reader.history()
    return not history or history[-1].message_id == outcome.message_id
