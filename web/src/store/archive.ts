/** All takes as a zip: a table for people, a list for this page, and the recordings. And back. */

import { strFromU8, strToU8, unzip, zip } from "fflate";
import type { Frames, Result } from "../engine/engine";
import type { Take } from "./takes";

const LIST = "takes.json";
const TABLE = "takes.csv";

export class ArchiveError extends Error {}

interface Listed extends Omit<Take, "recording" | "result"> {
  recording: string; // name in the zip
  result: Omit<Result, "frames" | "picture"> & { frames: (Omit<Frames, "values"> & { values: (number | null)[] }) | null };
}

export async function exportTakes(takes: Take[]): Promise<Blob> {
  const names = takes.map(
    (take) => `recordings/${new Date(take.time).toISOString().replace(/[:.]/g, "-")}-${take.id.slice(0, 8)}.wav`,
  );
  const listed = takes.map(({ recording: _, result: { picture: __, ...result }, ...take }, i): Listed => {
    const frames = result.frames && { ...result.frames, values: Array.from(result.frames.values, (value) => (Number.isNaN(value) ? null : value)) };
    return { ...take, recording: names[i], result: { ...result, frames } };
  });
  const files: Record<string, [Uint8Array, { level: 0 | 6 }]> = {
    [TABLE]: [strToU8(table(takes, names)), { level: 6 }],
    [LIST]: [strToU8(JSON.stringify(listed)), { level: 6 }],
  };
  for (const [i, take] of takes.entries()) {
    files[names[i]] = [new Uint8Array(await take.recording.arrayBuffer()), { level: 0 }];
  }
  return new Promise((resolve, reject) =>
    zip(files, (error, bytes) =>
      error ? reject(error) : resolve(new Blob([bytes as BlobPart], { type: "application/zip" })),
    ),
  );
}

const COLUMNS: [string, (take: Take) => string | number | null | undefined][] = [
  ["time", (take) => new Date(take.time).toISOString()],
  ["language", (take) => take.target],
  ["sentence", (take) => take.text],
  ["file", (take) => take.fileName],
  ["verdict", (take) => take.result.grade?.verdict ?? "refused"],
  ["refused", (take) => take.result.refused?.kind],
  ["grade", (take) => take.result.grade?.value],
  ["grade_low", (take) => take.result.grade?.low],
  ["grade_high", (take) => take.result.grade?.high],
  ["grade_percentile", (take) => take.result.grade?.percentile],
  ["speech_s", (take) => take.result.measures.speech_s],
];

function table(takes: Take[], names: string[]): string {
  const cell = (value: string | number | null | undefined) => {
    const text = String(value ?? "");
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const rows = takes.map((take, i) => [...COLUMNS.map(([, of]) => cell(of(take))), names[i]].join(","));
  return `${[[...COLUMNS.map(([name]) => name), "recording"].join(","), ...rows].join("\n")}\n`;
}

/** The takes of a zip that `exportTakes` made; raises `ArchiveError` for another file. */
export async function importTakes(file: Blob): Promise<Take[]> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  try {
    const files = await new Promise<Record<string, Uint8Array>>((resolve, reject) =>
      unzip(bytes, (error, inside) => (error ? reject(error) : resolve(inside))),
    );
    const listed = JSON.parse(strFromU8(files[LIST])) as Listed[];
    return listed.map(({ recording, result, ...take }) => {
      if (!files[recording] || typeof take.id !== "string" || typeof take.time !== "number") throw new Error(recording);
      const frames = result.frames && { ...result.frames, values: Float32Array.from(result.frames.values, (value) => value ?? NaN) };
      const wav = new Blob([files[recording] as BlobPart], { type: "audio/wav" });
      return { ...take, recording: wav, result: { ...result, frames, picture: null } };
    });
  } catch (error) {
    throw new ArchiveError(String(error));
  }
}
