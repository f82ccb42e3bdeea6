"""ElevenLabs Agents, with the types of the package `elevenlabs`, whose audio, pong and tool frames are those of its own client."""

import base64
import json
from urllib.parse import parse_qs, urlsplit

from elevenlabs.conversational_ai.conversation import ClientToOrchestratorEvent
from elevenlabs.types import ConversationInitiationClientDataRequestInput
from pydantic import TypeAdapter

SIGNATURE = "signature-0123456789"
# The members of the frames that the SDK's client writes as dictionaries.
FRAMES = {
    "pong": {"type", "event_id"},
    "client_tool_result": {"type", "tool_call_id", "result", "is_error"},
    "user_message": {"type", "text"},
}


def check(message):
    event = json.loads(message)
    if "user_audio_chunk" in event:
        assert set(event) == {"user_audio_chunk"}, f"unknown members: {sorted(event)}"
        return "user_audio_chunk", base64.b64decode(event["user_audio_chunk"], validate=True)
    kind = event["type"]
    if kind == "conversation_initiation_client_data":
        del event["type"]
        return kind, TypeAdapter(ConversationInitiationClientDataRequestInput).validate_python(event, strict=True)
    assert kind == "pong" or ClientToOrchestratorEvent(kind), kind
    assert set(event) == FRAMES[kind], f"members: {sorted(event)}"
    return kind, event


def check_request(request):
    target = urlsplit(request.path)
    query = parse_qs(target.query)
    if target.path != "/v1/convai/conversation" or query.get("conversation_signature") != [SIGNATURE]:
        yield f"requests {request.path}"
    if "xi-api-key" in request.headers:
        yield "sends the key beside the signature"


def answer_http(connection, request):
    target = urlsplit(request.path)
    if target.path != "/v1/convai/conversation/get-signed-url":
        return None
    known = request.headers.get("xi-api-key") == "xi-0123456789abcd"
    if not known or parse_qs(target.query) != {"agent_id": ["agent_1"]}:
        return connection.respond(401, '{"detail": {"status": "invalid_api_key"}}\n')
    host = request.headers["Host"]
    url = f"ws://{host}/v1/convai/conversation?agent_id=agent_1&conversation_signature={SIGNATURE}"
    return connection.respond(200, json.dumps({"signed_url": url}))


async def begin(session, audio_format="ulaw_8000"):
    data = await session.expect("conversation_initiation_client_data")
    session.notes["data"] = data.model_dump(exclude_unset=True, mode="json")
    metadata = {
        "conversation_id": "conv_1", "agent_output_audio_format": audio_format, "user_input_audio_format": audio_format,
    }
    event = {"type": "conversation_initiation_metadata", "conversation_initiation_metadata_event": metadata}
    await session.send(event)


async def say(session, number, audio):
    event = {"audio_base_64": base64.b64encode(audio).decode(), "event_id": number}
    await session.send({"type": "audio", "audio_event": event})


async def echo(session, number):
    while True:
        await say(session, number, await session.expect("user_audio_chunk"))


async def turn(session):
    await begin(session)
    await session.send({"type": "ping", "ping_event": {"event_id": 7, "ping_ms": None}})
    pong = await session.expect("pong")
    session.notes["pong"] = pong["event_id"]
    await echo(session, 1)


async def interruption(session):
    await begin(session)
    await session.expect("user_audio_chunk")
    for _ in range(10):
        await say(session, 1, b"\x2a" * 8000)
    for _ in range(25):
        await session.expect("user_audio_chunk")
    await session.send({"type": "interruption", "interruption_event": {"event_id": 1}})
    # These were on their way.
    for _ in range(3):
        await say(session, 1, b"\x2a" * 8000)
    await echo(session, 2)


async def malformed(session):
    await begin(session)
    for frame in ["", "not json", "[]", '{"type":7}', '{"type":"of.the.future"}', '{"type":"audio"}', b"\x00\x01"]:
        await session.send(frame)
    await session.send({"type": "audio", "audio_event": {"audio_base_64": "*not base64*", "event_id": 1}})
    await session.send({"type": "interruption", "interruption_event": {"event_id": "one"}})
    await echo(session, 1)


async def drop(session):
    await begin(session)
    await session.expect("user_audio_chunk")
    await say(session, 1, b"\x2a" * 1600)
    session.drop()


async def hangup(session):
    await begin(session)
    await session.expect("user_audio_chunk")
    await session.socket.close(1000, "the agent said goodbye")


SCENARIOS = {"turn": turn, "interruption": interruption, "malformed": malformed, "drop": drop, "hangup": hangup}
