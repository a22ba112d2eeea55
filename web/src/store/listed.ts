/** What stands of a take in an exported list, and whether a list has that shape: another one would break every view. */

import { type Frames, type Grade, type Natives, type Result, type Stretch, VERDICTS, type Word } from "../engine/engine";
import { REASONS, type Refusal } from "../engine/refusal";
import type { Measures } from "../engine/trim";
import type { Take } from "./takes";

type Is = (value: unknown) => boolean;
type ListedFrames = Omit<Frames, "values"> & { values: (number | null)[] };
type ListedResult = Omit<Result, "frames" | "picture"> & { frames: ListedFrames | null };

export interface Listed extends Omit<Take, "recording" | "result"> {
  recording: string; // name in the zip
  result: ListedResult;
}

const LATEST = 8.64e15; // ms since 1970 that a date can hold

const number: Is = (value) => typeof value === "number";
const text: Is = (value) => typeof value === "string";
const flag: Is = (value) => typeof value === "boolean";
const id: Is = (value) => typeof value === "string" && /^[\w-]{8,64}$/.test(value);
const time: Is = (value) => typeof value === "number" && Math.abs(value) <= LATEST;
const oneOf = (values: readonly string[]): Is => (value) => values.includes(value as string);
const orNull = (is: Is): Is => (value) => value === null || is(value);
const listOf = (is: Is): Is => (value) => Array.isArray(value) && value.every(is);
const object = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const shape = <T>(fields: { [K in keyof Required<T>]: Is }): Is => (value) =>
  object(value) && Object.entries<Is>(fields).every(([name, is]) => is(value[name]));

const natives = shape<Natives>({ low: number, high: number, values: listOf(number) });
const grade = shape<Grade>({
  value: number,
  low: number,
  high: number,
  percentile: number,
  verdict: oneOf(VERDICTS),
  natives,
});
const frames = shape<ListedFrames>({
  start: number,
  step: number,
  values: listOf(orNull(number)),
  limit: number,
  span: number,
});
const stretch = shape<Stretch>({ start: number, end: number });
const word = shape<Word>({ start: number, end: number, text, value: orNull(number), below: flag });
const measures = shape<Measures>({
  duration_s: number,
  speech_s: number,
  leading_silence_s: number,
  trailing_silence_s: number,
  loudness_dbfs: number,
  level_range_db: number,
  snr_db: number,
  clipped_fraction: number,
  bandwidth_hz: number,
  source_rate_hz: number,
});
const result = shape<ListedResult>({
  refused: orNull(shape<Refusal>({ kind: oneOf(REASONS), found: number, needed: number })),
  languages: (value) => object(value) && Object.values(value).every(number),
  grade: orNull(grade),
  frames: orNull(frames),
  stretches: listOf(stretch),
  words: orNull(listOf(word)),
  speech: orNull(stretch),
  measures,
});
const take = shape<Listed>({
  id,
  time,
  target: text,
  sentenceId: orNull(text),
  text: orNull(text),
  fileName: orNull(text),
  recording: text,
  result,
});

/** Whether it is a list of takes, none of them twice. */
export function isList(value: unknown): value is Listed[] {
  return listOf(take)(value) && new Set((value as Listed[]).map((one) => one.id)).size === (value as Listed[]).length;
}
