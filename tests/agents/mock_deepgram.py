"""The Deepgram Voice Agent, with the types of the package `deepgram-sdk`."""

import json

from deepgram.agent.v1 import types
from pydantic import TypeAdapter

CLIENT = {
    "Settings": types.AgentV1Settings,
    "KeepAlive": types.AgentV1KeepAlive,
    "InjectUserMessage": types.AgentV1InjectUserMessage,
    "FunctionCallResponse": types.AgentV1SendFunctionCallResponse,
}


def check(message):
    if isinstance(message, bytes):
        return "audio", message
    event = json.loads(message)
    kind = event["type"]
    return kind, TypeAdapter(CLIENT[kind]).validate_python(event, strict=True)


def check_request(request):
    if request.path != "/v1/agent/converse":
        yield f"requests {request.path}"
    if request.headers.get("Authorization") != "Token dg-0123456789abcd":
        yield "sends other credentials"


def answer_http(_connection, _request):
    return None


async def begin(session):
    await session.send({"type": "Welcome", "request_id": "00000000-0000-0000-0000-000000000000"})
    settings = await session.expect("Settings")
    session.notes["settings"] = settings.model_dump(exclude_unset=True, mode="json")
    await session.send({"type": "SettingsApplied"})


async def echo(session):
    while True:
        await session.send(await session.expect("audio"))


async def turn(session):
    await begin(session)
    await session.send({"type": "ConversationText", "role": "user", "content": "Hello."})
    await session.send({"type": "AgentStartedSpeaking", "total_latency": 0.3, "tts_latency": 0.1, "ttt_latency": 0.2})
    await echo(session)


async def interruption(session):
    await begin(session)
    await session.expect("audio")
    for _ in range(10):
        await session.send(b"\x2a" * 8000)
    for _ in range(25):
        await session.expect("audio")
    await session.send({"type": "UserStartedSpeaking"})
    await echo(session)


async def refusal(session):
    """Does not accept the settings."""
    await session.send({"type": "Welcome", "request_id": "00000000-0000-0000-0000-000000000000"})
    await session.expect("Settings")
    await session.send({"type": "Error", "description": "The model is unknown.", "code": "INVALID_SETTINGS"})
    await session.read()


SCENARIOS = {"turn": turn, "interruption": interruption, "refusal": refusal}
