"""A real mail server that takes every mail and keeps none.

`python -m bench.mailbox <port>` serves on it, until the process is ended.
"""

from __future__ import annotations

import asyncio
import sys

from aiosmtpd.smtp import SMTP, Envelope, Session


class Taking:
    """Takes whatever comes."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Say that it was stored."""
        return "250 2.0.0 taken"


async def serve(port: int) -> None:
    """Serve until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Taking(), loop=loop), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
