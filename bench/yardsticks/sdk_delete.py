"""A bare SDK script that deletes one session, as a shell loop would call it."""

import asyncio
import os
import sys

from copilot import CopilotClient, RuntimeConnection


async def main() -> None:
    """Start, delete, stop."""
    connection = RuntimeConnection.for_stdio(path=os.environ["COPILOT_CLI_PATH"])
    client = CopilotClient(connection=connection, log_level="error")
    await client.start()
    await client.delete_session(sys.argv[1])
    await client.stop()


asyncio.run(main())
