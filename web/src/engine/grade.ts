/** The grade of a take, its place among natives, and the one rule that makes a verdict of it. */

import type { Card } from "./card";
import type { Frames, Grade, Natives, Stretch, Verdict } from "./engine";
import { deviation, interpolate, mean, softmax } from "./numbers";

const FRAME_STEP = 0.1; // s
const LOW_PERCENT = 5;
const HIGH_PERCENT = 95;

/** Log-odds of one class against all others. */
export function logOdds(logits: number[], temperature: number, target: number): number {
  const probabilities = softmax(logits.map((logit) => logit / temperature));
  const others = probabilities.reduce((sum, p, i) => (i === target ? sum : sum + p), 0);
  return Math.log(probabilities[target]) - Math.log(others);
}

export function natives(card: Card): Natives {
  const values = card.native_log_odds;
  return { low: values[LOW_PERCENT], high: values[HIGH_PERCENT], values };
}

/** Within the natives' range, near it (no farther below than the lowest native), or below. */
export function verdict(value: number, { low, values }: Natives): Verdict {
  if (value >= low) return "within";
  return value >= values[0] ? "near" : "below";
}

/** A take's grade, from its value and those of its windows, which say how far chance could have moved it. */
export function grade(value: number, windows: number[], card: Card): Grade {
  const range = natives(card);
  const error = windows.length > 1 ? deviation(windows) / Math.sqrt(windows.length - 1) : range.high - range.low;
  const percents = range.values.map((_, percent) => percent);
  return {
    value,
    low: value - 1.96 * error,
    high: value + 1.96 * error,
    percentile: interpolate(value, range.values, percents),
    verdict: verdict(value, range),
  };
}

/** The windows' values ten times a second: each moment has the mean of the windows that cover it. */
export function frameValues(windows: (Stretch & { value: number })[]): Frames {
  const start = Math.min(...windows.map((window) => window.start));
  const end = Math.max(...windows.map((window) => window.end));
  const values = Float32Array.from({ length: Math.max(Math.round((end - start) / FRAME_STEP), 1) }, (_, i) => {
    const moment = start + (i + 0.5) * FRAME_STEP;
    const covering = windows.filter((window) => window.start <= moment && moment <= window.end);
    return covering.length ? mean(covering.map((window) => window.value)) : NaN;
  });
  return { start, step: FRAME_STEP, values };
}
