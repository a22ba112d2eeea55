/** When a take is not judged, and why: accent/scoring/refusal.py. The page says each reason in its own words. */

import type { Card, Thresholds } from "./card";
import type { Measures } from "./trim";

export const REASONS = [
  "silent",
  "too little speech",
  "too many pauses",
  "too noisy",
  "clipped",
  "muffled",
  "unlike speech",
  "too close to call",
  "unproven", // of the model and not of the take: it has not earned verdicts
] as const;
export type Reason = (typeof REASONS)[number];

export interface Refusal {
  kind: Reason;
  found: number;
  needed: number;
}

/** `probability` is that of the target class, null where no window could be heard. */
export function refusal(
  measures: Measures,
  unlikeness: number,
  probability: number | null,
  limits: Thresholds,
): Refusal | null {
  const { speech_s: speech, snr_db: snr, clipped_fraction: clipped, bandwidth_hz: bandwidth } = measures;
  const because = (kind: Reason, found = 0, needed = 0): Refusal => ({ kind, found, needed });
  if (!speech) return because("silent");
  if (speech < limits.min_speech_seconds) return because("too little speech", speech, 2 * limits.min_speech_seconds);
  if (probability === null) return because("too many pauses", speech);
  if (clipped > limits.max_clipped_fraction) return because("clipped", clipped, limits.max_clipped_fraction);
  if (snr < limits.min_snr_db) return because("too noisy", snr, limits.min_snr_db);
  if (bandwidth < limits.min_bandwidth_hz) return because("muffled", bandwidth, limits.min_bandwidth_hz);
  if (unlikeness > 1) return because("unlike speech", unlikeness, 1);
  if (Math.max(probability, 1 - probability) < limits.min_confidence) return because("too close to call");
  return null;
}

/** Why no take is judged by a model that nothing has proved. */
export function unproven({ fitness }: Pick<Card, "fitness">): Refusal | null {
  return fitness.verdicts ? null : { kind: "unproven", found: 0, needed: 0 };
}
