// A telepath.v1 agent: it greets callers with a tone, repeats what they say, and hangs up when they press #.
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

const RATE = 8000; // samples per second: 16-bit little-endian PCM, mono
const [LEAD_IN, LONGEST] = [15, 3000]; // frames, of 20 ms as a rule: kept from before the caller speaks, and of what is said

// Half a second.
function tone(hertz: number): Buffer {
  const audio = Buffer.alloc(RATE);
  for (let at = 0; at < RATE / 2; at++) {
    audio.writeInt16LE(Math.trunc(6000 * Math.sin((2 * Math.PI * hertz * at) / RATE)), 2 * at);
  }
  return audio;
}

function answer(socket: WebSocket): void {
  let [heard, speaking]: [Buffer[], boolean] = [[], false];
  const send = (event: object) => socket.send(JSON.stringify(event));
  const say = (audio: Buffer, mark: string) => {
    socket.send(audio); // may be faster than real time
    send({ type: "mark", name: mark }); // comes back when the audio has been played
  };
  socket.on("message", (frame: Buffer, isBinary: boolean) => {
    if (isBinary) {
      heard.push(frame);
      if (heard.length > (speaking ? LONGEST : LEAD_IN)) heard.shift();
      return;
    }
    const event = JSON.parse(frame.toString());
    if (event.type === "start") {
      console.log("call", event.call_id, "from", event.from, "to", event.to);
      say(tone(440), "greeting");
    } else if (event.type === "speech_started") {
      speaking = true;
      send({ type: "clear" }); // do not talk over the caller
    } else if (event.type === "speech_stopped") {
      say(Buffer.concat(heard), "reply");
      [heard, speaking] = [[], false];
    } else if (event.type === "dtmf" && event.digit === "#") {
      say(tone(220), "goodbye");
    } else if (event.type === "mark") {
      console.log(event.cleared ? "cut off:" : "played:", event.name);
      if (event.name === "goodbye") send({ type: "hangup" });
    } else if (event.type === "error") {
      console.log("error:", event.code, event.message);
    } else if (event.type === "stop") {
      console.log("ended:", event.reason);
      socket.close();
    }
  });
  socket.on("error", (error) => console.log("error:", error.message));
}

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2] ?? 9000),
  handleProtocols: (offered) => offered.has("telepath.v1") && "telepath.v1",
});
server.on("connection", answer);
server.on("listening", () => console.log("listening on port", (server.address() as AddressInfo).port));
