#!/usr/bin/env python3
"""Writes the test vectors of G.722 in this folder, with two independent implementations.

Needs ffmpeg and espeak-ng (Debian packages of those names) and the Python packages G722 and numpy:

    python3 -m venv /tmp/g722 && /tmp/g722/bin/pip install G722 numpy && /tmp/g722/bin/python make.py

Each signal is encoded and decoded by both implementations. Where they agree, their result is written once:
NAME.pcm (16 kHz, 16 bit, little endian), NAME.g722, and NAME.out, the decoded PCM. Where they do not, the script says from
which byte or sample on, and writes nothing for that signal.
"""

import pathlib
import subprocess
import sys
import wave

import G722
import numpy as np

FOLDER = pathlib.Path(__file__).parent
RATE = 16_000
# G722 resamples unless it is created for 16 kHz.
BIT_RATE = 64_000


def ffmpeg(arguments, data):
    command = ["ffmpeg", "-v", "error", *arguments, "pipe:1"]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def ffmpeg_encode(pcm):
    return ffmpeg(["-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", "pipe:0", "-c:a", "g722", "-f", "g722"], pcm)


def ffmpeg_decode(coded):
    return ffmpeg(["-f", "g722", "-i", "pipe:0", "-f", "s16le"], coded)


def package_encode(pcm):
    return bytes(G722.G722(RATE, BIT_RATE).encode(np.frombuffer(pcm, "<i2")))


def package_decode(coded):
    return np.asarray(G722.G722(RATE, BIT_RATE).decode(coded)).astype("<i2").tobytes()


def speech(text, voice, seconds):
    path = "/tmp/g722-speech.wav"
    subprocess.run(["espeak-ng", "-v", voice, "-w", path, text], check=True)
    with wave.open(path) as file:
        assert file.getnchannels() == 1 and file.getsampwidth() == 2
    pcm = ffmpeg(["-i", path, "-ar", str(RATE), "-ac", "1", "-f", "s16le"], b"")
    return pcm[: int(seconds * RATE) * 2]


def to_pcm(samples):
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


def signals():
    random = np.random.default_rng(722)
    time = np.arange(RATE * 4 // 10) / RATE
    sweep = 9000 * np.sin(2 * np.pi * (60 * time + (7000 - 60) / (2 * time[-1]) * time**2))
    dual = 5000 * np.sin(2 * np.pi * 697 * time) + 5000 * np.sin(2 * np.pi * 5200 * time)
    yield "tones", to_pcm(np.concatenate([sweep, dual[: RATE // 10]]))
    levels = np.repeat([30, 300, 3000], RATE // 15)
    yield "noise", to_pcm(random.normal(0, 1, len(levels)) * levels)
    yield "speech", speech("Six hundred and four. How may I help?", "en", 1.0)
    # Beyond the range of a band: what is limited, and where.
    clipped = np.sign(np.sin(2 * np.pi * 500 * time[: RATE // 10])) * 32767
    loud = random.integers(-32768, 32768, RATE // 10)
    yield "overload", to_pcm(np.concatenate([clipped, loud]))


def first_difference(kind, one, other):
    if one == other:
        return None
    shortest = min(len(one), len(other))
    at = next((n for n in range(shortest) if one[n] != other[n]), shortest)
    count = sum(a != b for a, b in zip(one, other))
    return f"{kind}: {len(one)} and {len(other)} bytes, {count} differ, the first at {at}"


def main():
    failed = False
    for name, pcm in signals():
        pcm = pcm[: len(pcm) // 320 * 320]
        coded, also_coded = ffmpeg_encode(pcm), package_encode(pcm)
        decoded, also_decoded = ffmpeg_decode(coded), package_decode(coded)
        problems = [
            first_difference("encoded", coded, also_coded),
            first_difference("decoded", decoded, also_decoded),
        ]
        print(name, len(pcm), "bytes:", [problem for problem in problems if problem] or "both agree")
        if any(problems):
            failed = True
            continue
        for suffix, data in [("pcm", pcm), ("g722", coded), ("out", decoded)]:
            (FOLDER / f"{name}.{suffix}").write_bytes(data)
    # A decoder also gets bytes that no encoder would send.
    coded = np.random.default_rng(64_000).integers(0, 256, 1600, dtype=np.uint8).tobytes()
    problem = first_difference("decoded", ffmpeg_decode(coded), package_decode(coded))
    print("random bytes:", problem or "both agree")
    if problem:
        failed = True
    else:
        (FOLDER / "bytes.g722").write_bytes(coded)
        (FOLDER / "bytes.out").write_bytes(package_decode(coded))
    sys.exit(failed)


main()
