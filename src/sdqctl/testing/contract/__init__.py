"""The contract of the adapter seam, as a pytest class that every adapter must pass whole.

Subclass it as `class TestMine(AdapterContract)` and give the `settings` fixture and the prompts
that make the agent answer, refuse, stall and ask for a tool. Needs pytest.
"""

from __future__ import annotations

from sdqctl.testing.contract.sessions import SessionContract
from sdqctl.testing.contract.turns import TurnContract


class AdapterContract(SessionContract, TurnContract):
    """Everything that holds for every adapter."""
