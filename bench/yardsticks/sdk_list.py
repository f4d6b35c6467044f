"""A bare SDK script that lists the sessions."""

import asyncio
import os

from copilot import CopilotClient, RuntimeConnection


async def main() -> None:
    """Start, list, stop."""
    connection = RuntimeConnection.for_stdio(path=os.environ["COPILOT_CLI_PATH"])
    client = CopilotClient(connection=connection, log_level="error")
    await client.start()
    for session in await client.list_sessions():
        print(session.session_id, session.modified_time.isoformat(), session.summary, sep="\t")
    await client.stop()


asyncio.run(main())
