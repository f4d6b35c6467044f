"""A bare SDK script: SESSIONS sessions of PROMPTS prompts each, so many at a time.

Usage: sdk_prompts.py SESSIONS PROMPTS PARALLEL TEXT
"""

import asyncio
import os
import sys
import uuid

from copilot import CopilotClient, PermissionHandler, RuntimeConnection

TIMEOUT = 600.0


async def main(sessions: int, prompts: int, parallel: int, text: str) -> None:
    """Send all prompts and print the answers."""
    connection = RuntimeConnection.for_stdio(path=os.environ["COPILOT_CLI_PATH"])
    client = CopilotClient(connection=connection, log_level="error")
    await client.start()
    limit = asyncio.Semaphore(parallel)
    provider = {
        "type": "openai",
        "base_url": os.environ["COPILOT_PROVIDER_BASE_URL"],
        "api_key": os.environ["COPILOT_PROVIDER_API_KEY"],
    }

    async def one() -> None:
        async with limit:
            session = await client.create_session(
                session_id=str(uuid.uuid4()),
                on_permission_request=PermissionHandler.approve_all,
                model=os.environ["COPILOT_MODEL"],
                provider=provider,
                working_directory=os.getcwd(),
            )
            for number in range(prompts):
                answer = await session.send_and_wait(f"{number} {text}", timeout=TIMEOUT)
                print(answer.data.content if answer else "")
            await session.disconnect()

    await asyncio.gather(*(one() for _ in range(sessions)))
    await client.stop()


asyncio.run(main(*map(int, sys.argv[1:4]), sys.argv[4]))
