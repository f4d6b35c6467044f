"""Every error that sdqctl raises on purpose, and the exit code each one ends with.

::

    SdqctlError                      exit  code
    ├── UsageError                     2   usage
    │   ├── BundleError                2   bundle-invalid
    │   └── OutputConflictError        2   output-conflict
    ├── WorkflowError                  3   workflow-invalid
    ├── StepError                      4   step-failed
    │   ├── ContextError               4   context-mismatch
    │   ├── SharedTreeError            4   tree-shared
    │   └── BudgetError                4   budget-reached
    ├── WorkspaceError                 4   workspace-failed
    │   └── WorkspaceRefusedError      4   workspace-refused
    ├── RuntimeFailure                 5   runtime-failed
    │   ├── RuntimeMissingError        5   runtime-missing
    │   ├── RuntimeDiedError           5   runtime-died
    │   └── AdapterBrokenError         5   adapter-broken
    ├── CapabilityError                5   not-supported
    ├── SandboxError                   5   sandbox-missing
    ├── AuthenticationError            6   authentication
    ├── SessionNameError               7   session-name
    │   ├── SessionNotFoundError       7   session-not-found
    │   ├── SessionAmbiguousError      7   session-ambiguous
    │   └── SessionExistsError         7   session-exists
    ├── SessionUnusableError           4   session-unusable
    ├── PausedError                    8   paused
    ├── StoreError                     9   store-failed
    │   ├── OutputError                9   output-failed
    │   ├── StoreDamagedError          9   store-damaged
    │   ├── StoreNewerError            9   store-newer
    │   └── SharedStoreError           9   shared-store-failed
    ├── BusyError                     75   busy
    │   ├── SessionBusyError          75   session-busy
    │   ├── RateLimitError            75   rate-limited
    │   ├── StoreUnreachableError     75   store-unreachable
    │   └── LeaseLostError            75   lease-lost
    └── InterruptedRunError          130   interrupted
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar


class SdqctlError(Exception):
    """An error with a remedy. `message` says what happened and where, `hint` what to do."""

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SdqctlError):
    """A flag, an argument or a setting that makes no sense."""

    exit_code = 2
    code = "usage"


class BundleError(UsageError):
    """A bundle that is damaged, hostile, or of a newer sdqctl; nothing was imported."""

    code = "bundle-invalid"


class OutputConflictError(UsageError):
    """An output that would take the place of the workflow's file, or of another output."""

    code = "output-conflict"


class WorkflowError(SdqctlError):
    """A workflow that cannot be run as it is written."""

    exit_code = 3
    code = "workflow-invalid"


class StepError(SdqctlError):
    """A step that failed: the model, the network, a RUN command, a timeout, refused tools."""

    exit_code = 4
    code = "step-failed"


class ContextError(StepError):
    """The conversation no longer holds the prompts that the ledger says were answered."""

    code = "context-mismatch"


class SharedTreeError(StepError):
    """A step is not taken back, since somebody else was at work in the same files meanwhile."""

    code = "tree-shared"

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            hint="give each a tree of its own: WORKTREE in the workflow that is called, or "
            "`--worktree`",
        )


class BudgetError(StepError):
    """A limit that the user set for the run is reached; the run can go on with a higher one."""

    code = "budget-reached"


class WorkspaceError(SdqctlError):
    """Something about the work tree of a session cannot be done; git said why."""

    exit_code = 4
    code = "workspace-failed"


class WorkspaceRefusedError(WorkspaceError):
    """No snapshots are made of this work tree, and why not."""

    code = "workspace-refused"


class RuntimeFailure(SdqctlError):  # noqa: N818 - the field says "failure"; RuntimeError is Python's
    """The agent runtime does not work."""

    exit_code = 5
    code = "runtime-failed"


class RuntimeMissingError(RuntimeFailure):
    """The agent runtime is not installed, or the given path is no program."""

    code = "runtime-missing"


class RuntimeDiedError(RuntimeFailure):
    """The agent runtime ended while it was needed."""

    code = "runtime-died"


class AdapterBrokenError(RuntimeFailure):
    """An adapter of an installed package cannot be loaded."""

    code = "adapter-broken"


class CapabilityError(SdqctlError):
    """The adapter does not have the power that was asked for."""

    exit_code = 5
    code = "not-supported"


class SandboxError(SdqctlError):
    """The sandbox that was asked for cannot be had on this machine."""

    exit_code = 5
    code = "sandbox-missing"


class AuthenticationError(SdqctlError):
    """The model provider or the account refused the credentials, or there are none."""

    exit_code = 6
    code = "authentication"


class SessionNameError(SdqctlError):
    """A session name that does not lead to exactly one session."""

    exit_code = 7
    code = "session-name"


class SessionNotFoundError(SessionNameError):
    """No session has this id, name or prefix."""

    code = "session-not-found"


class SessionAmbiguousError(SessionNameError):
    """Several sessions match."""

    code = "session-ambiguous"


class SessionExistsError(SessionNameError):
    """The name is taken, and going on in it was not asked for."""

    code = "session-exists"


class SessionUnusableError(SdqctlError):
    """The session is there, but the runtime cannot open it (damaged, remote, folder gone)."""

    exit_code = 4
    code = "session-unusable"


class PausedError(SdqctlError):
    """The run waits for a human.

    Whoever writes the message to one calls `shown` after it: only then does the next command that
    goes on with the run pass the step at `path`. `asks`: it is for an answer, at an ASK.
    """

    exit_code = 8
    code = "paused"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        path: str | None = None,
        asks: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.asks = asks
        self.on_shown: Callable[[], None] | None = None

    def shown(self) -> None:
        """Record that a human could read the message. Raises StoreError."""
        if self.on_shown is not None:
            self.on_shown()


class StoreError(SdqctlError):
    """The ledger cannot be read or written."""

    exit_code = 9
    code = "store-failed"


class OutputError(StoreError):
    """What a command has to say cannot be written, such as to a full disk."""

    code = "output-failed"


class StoreDamagedError(StoreError):
    """The ledger's file is not what was written."""

    code = "store-damaged"


class StoreNewerError(StoreError):
    """The ledger was written by a newer sdqctl."""

    code = "store-newer"


class SharedStoreError(StoreError):
    """The shared store refuses what it is asked: no rights, no database, no room."""

    code = "shared-store-failed"


class BusyError(SdqctlError):
    """Something needed is in use; later it may not be."""

    exit_code = 75
    code = "busy"


class SessionBusyError(BusyError):
    """Another process has the session open."""

    code = "session-busy"


class RateLimitError(BusyError):
    """The model provider asks to slow down."""

    code = "rate-limited"


class StoreUnreachableError(BusyError):
    """The shared store cannot be reached at the moment."""

    code = "store-unreachable"


class LeaseLostError(BusyError):
    """Another process has taken the session over: this one may publish nothing more of it."""

    code = "lease-lost"


class InterruptedRunError(SdqctlError):
    """A signal ended the command; what was done is recorded."""

    exit_code = 130
    code = "interrupted"
