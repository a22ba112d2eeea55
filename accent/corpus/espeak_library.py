"""espeak-ng's library, which tells at which sample it reaches each mark of an SSML text; its command does not.

    python accent/corpus/espeak_library.py LIBRARY VOICE WORDS_PER_MINUTE PITCH <text.ssml >samples

A process of its own for every text, because what the library has said before changes what it says next by some samples.
Writes a line of JSON with the sample rate and the marks, then the samples (int16).
"""

import ctypes
import json
import sys

# Of espeak-ng's speak_lib.h.
SYNCHRONOUS, DONT_EXIT = 2, 0x8000
RATE, PITCH = 1, 3
UTF_8, SSML = 1, 0x10
EVENT_END, EVENT_MARK = 0, 3
NO_START, NO_VOICE = 3, 4  # exit codes


class _Name(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """`espeak_EVENT`."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def main() -> None:
    path, voice, words_per_minute, pitch = sys.argv[1:]
    ssml = sys.stdin.buffer.read()
    library = ctypes.CDLL(path)
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, None, DONT_EXIT)
    if rate <= 0:
        sys.exit(NO_START)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        sys.exit(NO_VOICE)
    pieces, marks = [], {}

    def hear(samples: ctypes.Array, count: int, events: ctypes.Array) -> int:
        if samples and count:
            pieces.append(ctypes.string_at(samples, 2 * count))
        place = 0
        while (event := events[place]).type != EVENT_END:
            if event.type == EVENT_MARK:
                marks.setdefault(event.id.name.decode(), event.sample)
            place += 1
        return 0

    callback = _CALLBACK(hear)  # held here for as long as the library may call it
    library.espeak_SetParameter(RATE, int(words_per_minute), 0)
    library.espeak_SetParameter(PITCH, int(pitch), 0)
    library.espeak_SetSynthCallback(callback)
    library.espeak_Synth(ssml, len(ssml) + 1, 0, 1, 0, UTF_8 | SSML, None, None)
    library.espeak_Synchronize()
    sys.stdout.buffer.write(json.dumps({"rate": rate, "marks": marks}).encode() + b"\n" + b"".join(pieces))


if __name__ == "__main__":
    main()
