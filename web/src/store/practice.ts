/** What several takes say together: a line a sentence, and whether a take differs from those before it. */

import { deviation, mean } from "../engine/numbers";
import type { Take } from "./takes";

export interface Line {
  key: string;
  target: string;
  sentenceId: string | null;
  text: string | null;
  takes: Take[]; // the oldest first
}

const BEFORE = 3; // takes with which a new one is compared
const SURE = 2.6; // standard errors that a change must exceed: 99% where the spread is well known

export function keyOf({ target, text, fileName }: Pick<Take, "target" | "text" | "fileName">): string {
  return `${target}/${text ?? ""}/${text === null ? fileName : ""}`;
}

/** The takes by sentence, the sentence that was practised last at first. */
export function lines(takes: Take[]): Line[] {
  const found = new Map<string, Line>();
  for (const take of takes) {
    const key = keyOf(take);
    const { target, sentenceId, text } = take;
    const line = found.get(key) ?? { key, target, sentenceId, text, takes: [] };
    found.delete(key);
    found.set(key, { ...line, takes: [...line.takes, take] });
  }
  return [...found.values()].reverse();
}

/**
 * How far retakes of a sentence differ: the standard deviation from the steps between them, over all sentences, widened
 * by about what Student's t asks where the steps are few; infinite for fewer than three.
 */
export function retakeSpread(all: Line[]): number {
  const steps = all.flatMap(({ takes }) => {
    const values = takes.flatMap((take) => (take.result.grade ? [take.result.grade.value] : []));
    return values.slice(1).map((value, i) => value - values[i]);
  });
  if (steps.length < BEFORE) return Infinity;
  return Math.sqrt(mean(steps.map((step) => step ** 2)) / 2) * (1 + 4 / steps.length);
}

/** Whether the last take of a line lies above or below the three before it, by more than retakes differ. */
export function change(line: Line, all: Line[]): "better" | "worse" | null {
  const grades = line.takes.flatMap((take) => (take.result.grade ? [take.result.grade] : []));
  const last = grades.at(-1);
  const before = grades.slice(-1 - BEFORE, -1).map((grade) => grade.value);
  if (!last || line.takes.at(-1)?.result.grade !== last || before.length < BEFORE) return null;
  const others = all.map((other) => (other.key === line.key ? { ...other, takes: line.takes.slice(0, -1) } : other));
  const own = (last.high - last.low) / (2 * 1.96);
  const noise = Math.max(retakeSpread(others), deviation(before), own);
  const difference = last.value - mean(before);
  if (Math.abs(difference) <= SURE * noise * Math.sqrt(1 + 1 / BEFORE)) return null;
  return difference > 0 ? "better" : "worse";
}
