"""A bare SDK script: SESSIONS sessions of PROMPTS prompts each, so many at a time.

Usage: sdk_prompts.py SESSIONS PROMPTS PARALLEL TEXT [FILE]. Answers are streamed, as sdqctl's are.
FILE gets the seconds that each prompt took, a line each.
"""

import asyncio
import os
import sys
import time
import uuid
from pathlib import Path

from copilot import CopilotClient, PermissionHandler, RuntimeConnection
from copilot.session import ProviderConfig

TIMEOUT = 600.0


async def main(sessions: int, prompts: int, parallel: int, text: str, file: str | None) -> None:
    """Send all prompts and print the answers."""
    connection = RuntimeConnection.for_stdio(path=os.environ["COPILOT_CLI_PATH"])
    client = CopilotClient(connection=connection, log_level="error")
    await client.start()
    limit = asyncio.Semaphore(parallel)
    seconds: list[float] = []
    provider: ProviderConfig = {
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
                streaming=True,
            )
            for number in range(prompts):
                begun = time.perf_counter()
                answer = await session.send_and_wait(f"{number} {text}", timeout=TIMEOUT)
                seconds.append(time.perf_counter() - begun)
                print(getattr(answer.data, "content", "") if answer else "")
            await session.disconnect()

    await asyncio.gather(*(one() for _ in range(sessions)))
    await client.stop()
    if file is not None:
        Path(file).write_text("".join(f"{value}\n" for value in seconds))


sessions, prompts, parallel = map(int, sys.argv[1:4])
asyncio.run(main(sessions, prompts, parallel, sys.argv[4], sys.argv[5] if sys.argv[5:] else None))
