/** The microphone: permission, device, samples, and an end by button, by silence or by length. */

import type { Sound } from "../engine/engine";
import { LevelWatch } from "./levels";

export const MAX_SECONDS = 30;
const START_MS = 5000; // Firefox waits for ever on a machine without a sound card
const LATE_SECONDS = 0.3; // of zeros before the first sound: a first word may be lost in them

/** The browser's own processing stays on, as it was when the corpus was recorded. */
const CONSTRAINTS: MediaTrackConstraints = { channelCount: 1 };

export type MicrophoneProblem = "denied" | "none" | "busy" | "lost" | "unsupported";

export class MicrophoneError extends Error {
  constructor(readonly problem: MicrophoneProblem) {
    super(problem);
  }
}

export interface Watcher {
  heard(samples: Float32Array, watch: LevelWatch, seconds: number): void;
  ended(why: "silence" | "length" | "lost"): void;
}

export class Recorder {
  readonly watch = new LevelWatch();
  private blocks: Float32Array[] = [];
  private samples = 0;
  private zeros = 0; // before the first sound
  private done = false;

  private constructor(
    private readonly stream: MediaStream,
    private readonly context: AudioContext,
    private readonly watcher: Watcher,
  ) {}

  /** Begin to record; raises `MicrophoneError`. `deviceId` is a wish: another device takes its place if it is gone. */
  static async start(deviceId: string | null, watcher: Watcher): Promise<Recorder> {
    if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) throw new MicrophoneError("unsupported");
    let stream: MediaStream;
    try {
      const audio = deviceId ? { ...CONSTRAINTS, deviceId: { ideal: deviceId } } : CONSTRAINTS;
      stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new MicrophoneError(problemOf(error));
    }
    const context = new AudioContext();
    const recorder = new Recorder(stream, context, watcher);
    try {
      await context.audioWorklet.addModule("recorder-worklet.js");
      await Promise.race([context.resume(), new Promise((_, reject) => setTimeout(reject, START_MS))]);
      const tap = new AudioWorkletNode(context, "tap", { numberOfOutputs: 0, channelCount: 1 });
      tap.port.onmessage = ({ data }: MessageEvent<Float32Array>) => recorder.take(data);
      context.createMediaStreamSource(stream).connect(tap);
      stream.getAudioTracks()[0].onended = () => recorder.end("lost");
    } catch {
      recorder.release();
      throw new MicrophoneError("busy");
    }
    return recorder;
  }

  get deviceId(): string | undefined {
    return this.stream.getAudioTracks()[0]?.getSettings().deviceId;
  }

  /** End the recording, and get it. */
  stop(): Sound {
    this.release();
    return this.sound();
  }

  /** Whether the microphone gave nothing at first, as Safari's does. */
  get late(): boolean {
    return this.zeros < this.samples && this.zeros >= LATE_SECONDS * this.context.sampleRate;
  }

  /** What was recorded until now, without the zeros before it, which are no room's noise. */
  sound(): Sound {
    const samples = new Float32Array(this.samples);
    let place = 0;
    for (const block of this.blocks) {
      samples.set(block, place);
      place += block.length;
    }
    const first = this.zeros < samples.length ? this.zeros : 0; // zeros alone are a microphone that is off
    return { channels: [samples.subarray(first)], rate: this.context.sampleRate };
  }

  private take(block: Float32Array): void {
    if (this.done) return;
    if (this.zeros === this.samples) {
      const first = block.findIndex((sample) => sample !== 0);
      this.zeros += first < 0 ? block.length : first;
    }
    this.blocks.push(block);
    this.samples += block.length;
    const seconds = this.samples / this.context.sampleRate;
    const silent = this.watch.hear(block, this.context.sampleRate);
    this.watcher.heard(block, this.watch, seconds);
    if (silent) this.end("silence");
    else if (seconds >= MAX_SECONDS) this.end("length");
  }

  private end(why: "silence" | "length" | "lost"): void {
    if (this.done) return;
    this.watcher.ended(why);
  }

  private release(): void {
    this.done = true;
    for (const track of this.stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    void this.context.close();
  }
}

function problemOf(error: unknown): MicrophoneProblem {
  switch ((error as DOMException).name) {
    case "NotAllowedError":
    case "SecurityError":
      return "denied";
    case "NotFoundError":
    case "OverconstrainedError":
      return "none";
    default:
      return "busy";
  }
}

/** The microphones to choose from: named only once the learner has allowed one. */
export async function microphones(): Promise<MediaDeviceInfo[]> {
  const devices = await navigator.mediaDevices?.enumerateDevices?.();
  return (devices ?? []).filter((device) => device.kind === "audioinput" && device.label !== "");
}
