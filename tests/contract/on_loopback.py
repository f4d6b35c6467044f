"""The contract of an adapter whose agent asks the loopback model."""

from __future__ import annotations

from sdqctl.testing.contract import AdapterContract


class LoopbackContract(AdapterContract):
    """Its prompts carry orders to the model (docs/mock.md has their form)."""

    def answering(self, answer: str) -> str:
        return f"Say it. [[reply: {answer}]]"

    def refused(self) -> str:
        return "[[status: 400]]"

    def stalling(self) -> str:
        return "Wait. [[hang: x1]]"
