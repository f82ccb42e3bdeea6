"""An agent written for Twilio Media Streams. The package `twilio` has no types for its frames, so their members are listed here."""

import base64
import json

from websockets.exceptions import ConnectionClosed

MEMBERS = {
    "connected": {"event", "protocol", "version"},
    "start": {"event", "sequenceNumber", "streamSid", "start"},
    "media": {"event", "sequenceNumber", "streamSid", "media"},
    "dtmf": {"event", "sequenceNumber", "streamSid", "dtmf"},
    "mark": {"event", "sequenceNumber", "streamSid", "mark"},
    "stop": {"event", "sequenceNumber", "streamSid", "stop"},
}
INNER = {
    "start": {"streamSid", "accountSid", "callSid", "tracks", "customParameters", "mediaFormat"},
    "media": {"track", "chunk", "timestamp", "payload"},
    "dtmf": {"track", "digit"},
    "mark": {"name"},
    "stop": {"accountSid", "callSid"},
}


def check(message):
    event = json.loads(message)
    kind = event["event"]
    assert set(event) == MEMBERS[kind], f"members: {sorted(event)}"
    if kind in INNER:
        assert set(event[kind]) == INNER[kind], f"members of {kind}: {sorted(event[kind])}"
        assert event["sequenceNumber"].isdecimal(), "sequenceNumber"
    return kind, event


def check_request(request):
    if "Sec-WebSocket-Protocol" in request.headers:
        yield "requests a subprotocol"


def answer_http(_connection, _request):
    return None


async def begin(session):
    kind, connected = await session.read()
    assert (kind, connected["protocol"], connected["version"]) == ("connected", "Call", "1.0.0"), connected
    kind, start = await session.read()
    assert kind == "start" and start["sequenceNumber"] == "1", start
    session.notes["start"] = start["start"]
    return start["streamSid"]


async def say(session, stream, audio):
    payload = base64.b64encode(audio).decode()
    await session.send({"event": "media", "streamSid": stream, "media": {"payload": payload}})


async def turn(session):
    """Repeats what the caller says, and marks the end of every tenth frame."""
    stream = await begin(session)
    played, number = [], 0
    try:
        while True:
            kind, event = await session.read()
            if kind == "mark":
                played.append(event["mark"]["name"])
            elif kind == "media":
                number += 1
                await say(session, stream, base64.b64decode(event["media"]["payload"], validate=True))
                if number % 10 == 0:
                    await session.send({"event": "mark", "streamSid": stream, "mark": {"name": f"m{number}"}})
            elif kind == "stop":
                session.notes["stop"] = event["stop"]
    except ConnectionClosed:
        session.notes["played"] = played


async def clear(session):
    """Clears ten seconds of audio, whose mark returns at once."""
    stream = await begin(session)
    await session.expect("media")
    for _ in range(10):
        await say(session, stream, b"\x2a" * 8000)
    await session.send({"event": "mark", "streamSid": stream, "mark": {"name": "end"}})
    for _ in range(25):
        await session.expect("media")
    await session.send({"event": "clear", "streamSid": stream})
    mark = await session.expect("mark")
    session.notes["mark"] = mark["mark"]["name"]
    await session.socket.close()


SCENARIOS = {"turn": turn, "clear": clear}
