"""A telepath.v1 agent: it greets callers with a tone, repeats what they say, and hangs up when they press #."""
import asyncio
import json
import math
import struct
import sys

from websockets.asyncio.server import serve

RATE = 8000  # samples per second: 16-bit little-endian PCM, mono
LEAD_IN, LONGEST = 15, 3000  # frames, of 20 ms as a rule: kept from before the caller speaks, and of what is said


def tone(hertz):
    """Half a second."""
    return b"".join(struct.pack("<h", int(6000 * math.sin(math.tau * hertz * at / RATE))) for at in range(RATE // 2))


async def answer(socket):
    heard, speaking = [], False

    async def say(audio, mark):
        await socket.send(audio)  # may be faster than real time
        await socket.send(json.dumps({"type": "mark", "name": mark}))  # comes back when the audio has been played

    async for frame in socket:
        if isinstance(frame, bytes):
            heard.append(frame)
            del heard[: -(LONGEST if speaking else LEAD_IN)]
            continue
        event = json.loads(frame)
        match event["type"]:
            case "start":
                print("call", event["call_id"], "from", event["from"], "to", event["to"], flush=True)
                await say(tone(440), "greeting")
            case "speech_started":
                speaking = True
                await socket.send(json.dumps({"type": "clear"}))  # do not talk over the caller
            case "speech_stopped":
                await say(b"".join(heard), "reply")
                heard, speaking = [], False
            case "dtmf" if event["digit"] == "#":
                await say(tone(220), "goodbye")
            case "mark":
                print("cut off:" if event.get("cleared") else "played:", event["name"], flush=True)
                if event["name"] == "goodbye":
                    await socket.send(json.dumps({"type": "hangup"}))
            case "error":
                print("error:", event["code"], event["message"], flush=True)
            case "stop":
                print("ended:", event["reason"], flush=True)
                return  # closes the socket


async def main(port):
    async with serve(answer, "127.0.0.1", port, subprotocols=["telepath.v1"]) as server:
        print("listening on port", server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9000))
