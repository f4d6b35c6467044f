"""The ledger: begin, accept and finish of N steps, a durable commit each. Usage: ledger.py N."""

import sys
import tempfile
from pathlib import Path

from sdqctl.model.run import StepStatus
from sdqctl.store.ledger import Ledger

with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder)) as ledger:
    steps = int(sys.argv[1])
    run = ledger.start_run(
        adapter="mock",
        session_id="s",
        session_name="s",
        workflow="w",
        workflow_path="/w.conv",
        workflow_text="",
        steps_total=steps,
        options="{}",
        cwd="/",
        model=None,
    )
    for position in range(1, steps + 1):
        ledger.begin_step(
            run.id,
            path=str(position),
            cycle=1,
            kind="prompt",
            title="t",
            digest="d",
            session_id="s",
            turn_id="t",
            prompt="prompt " * 20,
        )
        ledger.accept_step(run.id, str(position), "m")
        ledger.finish_step(run.id, str(position), StepStatus.DONE, response="answer " * 20)
