"""Gemini Live, with the types of the package `google-genai`, which forbid unknown members. Its frames are binary."""

import base64
import json
from urllib.parse import parse_qs, urlsplit

from google.genai.types import LiveClientMessage, LiveServerMessage

SERVICE = "google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


def check(message):
    event = json.loads(message)
    content = LiveClientMessage.model_validate(event)
    return next(iter(event)), content


def check_request(request):
    target = urlsplit(request.path)
    if target.path != f"/ws/{SERVICE}" or parse_qs(target.query) != {"key": ["gm+0123456789/abcd="]}:
        yield f"requests {request.path}"


def answer_http(_connection, _request):
    return None


async def say(session, event):
    """Sends an event that the SDK accepts."""
    LiveServerMessage.model_validate(event)
    await session.send(json.dumps(event).encode())


async def begin(session):
    setup = await session.expect("setup")
    session.notes["setup"] = setup.setup.model_dump(exclude_unset=True, mode="json")
    await say(session, {"setupComplete": {"sessionId": "session_1"}})


async def audio(session):
    """The next frame of the caller's audio."""
    return (await session.expect("realtimeInput")).realtime_input.audio


async def speak(session, samples):
    data = base64.b64encode(b"\x10\x20" * samples).decode()
    part = {"inlineData": {"data": data, "mimeType": "audio/pcm;rate=24000"}}
    await say(session, {"serverContent": {"modelTurn": {"role": "model", "parts": [part]}}})


async def turn(session):
    await begin(session)
    first = await audio(session)
    session.notes["input"] = [first.mime_type, len(first.data)]
    while True:
        await audio(session)
        # 20 ms of the answer for 20 ms of the caller.
        await speak(session, 480)


async def interruption(session):
    await begin(session)
    await audio(session)
    for _ in range(10):
        await speak(session, 24000)
    for _ in range(25):
        await audio(session)
    await say(session, {"serverContent": {"interrupted": True}})
    while True:
        await audio(session)


SCENARIOS = {"turn": turn, "interruption": interruption}
