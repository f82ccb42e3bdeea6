"""A provider of agents that plays one scenario: `mock.py PROVIDER SCENARIO CONNECTIONS`.

Each frame of the gateway is validated with the types of the provider's own SDK; a member that the SDK does not know is a problem.
Prints the port, then one JSON object for each connection: {"frames": the kinds of frames in order, without repetitions,
"problems": what is wrong with them, "notes": what the scenario saw}.
"""

import asyncio
import importlib
import json
import sys

from pydantic import BaseModel
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


def unknown_members(value, path=""):
    """The members of a validated frame that the SDK does not know."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield f"{path}.{name}"
        for name in value.model_fields_set:
            yield from unknown_members(getattr(value, name, None), f"{path}.{name}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from unknown_members(item, f"{path}[{place}]")


class Session:
    """One connection of the gateway."""

    def __init__(self, socket, check):
        self.socket = socket
        self.check = check
        self.frames = []
        self.problems = []
        self.notes = {}

    async def read(self):
        """The next frame: its kind, and its content as the SDK reads it."""
        message = await self.socket.recv()
        try:
            kind, content = self.check(message)
        except Exception as problem:  # Whatever the SDK raises.
            self.problems.append(f"{message[:300]!r}: {problem}")
            return "invalid", None
        self.problems.extend(unknown_members(content, kind))
        if not self.frames or self.frames[-1] != kind:
            self.frames.append(kind)
        return kind, content

    async def expect(self, kind):
        """Reads up to a frame of this kind."""
        while True:
            found, content = await self.read()
            if found == kind:
                return content

    async def send(self, event):
        """Sends an event, or bytes as a binary frame. If the gateway has closed the socket, its last frames are still to be read."""
        try:
            await self.socket.send(event if isinstance(event, (str, bytes)) else json.dumps(event))
        except ConnectionClosed:
            pass

    def drop(self):
        """Breaks the connection as a failed network does."""
        self.socket.transport.abort()

    def report(self):
        return {"frames": self.frames, "problems": self.problems, "notes": self.notes}


async def main(provider, scenario, connections):
    provider = importlib.import_module(f"mock_{provider}")
    served = asyncio.Semaphore(0)

    def report(found):
        print(json.dumps(found), flush=True)
        served.release()

    def answer_http(connection, request):
        if scenario.isdigit():
            report({"frames": [], "problems": [], "notes": {}})
            return connection.respond(int(scenario), "refused\n")
        return provider.answer_http(connection, request)

    async def converse(socket):
        session = Session(socket, provider.check)
        session.problems.extend(provider.check_request(socket.request))
        try:
            await provider.SCENARIOS[scenario](session)
        except ConnectionClosed:
            pass
        except Exception as problem:  # A mistake of the scenario must fail the test, not only end the call.
            session.problems.append(f"the scenario failed: {problem!r}")
        report(session.report())

    async with serve(converse, "127.0.0.1", 0, process_request=answer_http, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        for _ in range(connections):
            await served.acquire()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
