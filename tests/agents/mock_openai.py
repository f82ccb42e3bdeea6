"""OpenAI Realtime, with the event types of the package `openai`."""

import asyncio
import base64
import json
import typing
from urllib.parse import parse_qs, urlsplit

from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import TypeAdapter


def by_type(union):
    """The classes of a union of events by the value of their member `type`."""
    classes = typing.get_args(typing.get_args(union)[0])
    return {typing.get_args(one.model_fields["type"].annotation)[0]: one for one in classes}


CLIENT = by_type(RealtimeClientEvent)
SERVER = by_type(RealtimeServerEvent)


def check(message):
    event = json.loads(message)
    kind = event["type"]
    return kind, TypeAdapter(CLIENT[kind]).validate_python(event, strict=True)


def check_request(request):
    target = urlsplit(request.path)
    if target.path != "/v1/realtime" or parse_qs(target.query) != {"model": ["gpt-realtime-2.1"]}:
        yield f"requests {request.path}"
    if request.headers.get("Authorization") != "Bearer sk-0123456789abcd":
        yield "sends other credentials"
    if "Sec-WebSocket-Protocol" in request.headers:
        yield "requests a subprotocol"


def answer_http(_connection, _request):
    return None


async def say(peer, kind, **members):
    """Sends an event that the SDK accepts."""
    event = {"type": kind, "event_id": "event_1", **members}
    SERVER[kind].model_validate(event)
    await peer.send(event)


async def begin(session, delay=0):
    """Accepts the session and returns its settings."""
    settings = {"type": "realtime", "object": "realtime.session", "id": "sess_1"}
    await say(session, "session.created", session=settings)
    update = await session.expect("session.update")
    session.notes["session"] = update.session.model_dump(exclude_unset=True, mode="json")
    await asyncio.sleep(delay)
    await say(session, "session.updated", session={**session.notes["session"], **settings})


async def answer(session, number):
    """Begins an answer to what the caller has said."""
    caller, item = f"caller_{number}", f"item_{number}"
    await say(session, "input_audio_buffer.speech_started", audio_start_ms=0, item_id=caller)
    await say(session, "input_audio_buffer.speech_stopped", audio_end_ms=200, item_id=caller)
    await say(session, "input_audio_buffer.committed", item_id=caller)
    response = {"object": "realtime.response", "id": f"resp_{number}", "status": "in_progress", "output": []}
    await say(session, "response.created", response=response)
    message = {"id": item, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    await say(session, "response.output_item.added", response_id=response["id"], output_index=0, item=message)


async def delta(session, number, audio):
    await say(
        session, "response.output_audio.delta", response_id=f"resp_{number}", item_id=f"item_{number}",
        output_index=0, content_index=0, delta=base64.b64encode(audio).decode(),
    )


async def done(session, number, status, **details):
    await say(
        session, "response.output_audio.done", response_id=f"resp_{number}", item_id=f"item_{number}",
        output_index=0, content_index=0,
    )
    response = {"object": "realtime.response", "id": f"resp_{number}", "status": status, "output": [], **details}
    await say(session, "response.done", response=response)


async def audio(session):
    """The next frame of the caller's audio."""
    return base64.b64decode((await session.expect("input_audio_buffer.append")).audio, validate=True)


async def echo(session, number):
    """Answers with what the caller says, byte for byte, until the call ends."""
    await answer(session, number)
    while True:
        await delta(session, number, await audio(session))


async def turn(session):
    await begin(session)
    await echo(session, 1)


async def slow(session):
    await begin(session, delay=0.7)
    await echo(session, 1)


async def greeting(session):
    await begin(session)
    request = await session.expect("response.create")
    session.notes["instructions"] = request.response.instructions
    await echo(session, 1)


async def interruption(session):
    await begin(session)
    await audio(session)
    await answer(session, 1)
    # Ten seconds of the answer arrive at once.
    for _ in range(10):
        await delta(session, 1, b"\x2a" * 8000)
    for _ in range(25):
        await audio(session)
    await say(session, "input_audio_buffer.speech_started", audio_start_ms=700, item_id="caller_2")
    truncate = await session.expect("conversation.item.truncate")
    session.notes["truncate"] = [truncate.item_id, truncate.content_index, truncate.audio_end_ms]
    # These were on their way.
    for _ in range(3):
        await delta(session, 1, b"\x2a" * 8000)
    await done(session, 1, "cancelled", status_details={"type": "cancelled", "reason": "turn_detected"})
    await say(
        session, "conversation.item.truncated", item_id=truncate.item_id, content_index=0,
        audio_end_ms=truncate.audio_end_ms,
    )
    await echo(session, 2)


async def malformed(session):
    await begin(session)
    for frame in ["", "not json", "[]", "7", '{"type":7}', '{"type":"of.the.future","x":{"y":[1]}}', b"\x00\x01"]:
        await session.send(frame)
    for frame in [
        {"type": "response.output_audio.delta"},
        {"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": "*not base64*"},
        {"type": "response.done", "response": {"output": "none"}},
        {"type": "error"},
    ]:
        await session.send(frame)
    await say(session, "error", error={"type": "invalid_request_error", "code": "odd", "message": "harmless"})
    await echo(session, 1)


async def drop(session):
    await begin(session)
    await audio(session)
    await answer(session, 1)
    await delta(session, 1, b"\x2a" * 1600)
    session.drop()


async def quota(session):
    """Accepts the socket and refuses the session."""
    settings = {"type": "realtime", "object": "realtime.session", "id": "sess_1"}
    await say(session, "session.created", session=settings)
    await session.expect("session.update")
    error = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded your quota."}
    await say(session, "error", error=error)
    await session.read()


SCENARIOS = {
    "turn": turn,
    "slow": slow,
    "greeting": greeting,
    "interruption": interruption,
    "malformed": malformed,
    "drop": drop,
    "quota": quota,
}
