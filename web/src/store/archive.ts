/** All takes as a zip: a table for people, a list for this page, and the recordings. And back. */

import { strFromU8, strToU8, type UnzipFileInfo, unzipSync, zipSync } from "fflate";
import { isOurWav } from "../audio/wav";
import { isList, type Listed } from "./listed";
import type { Take } from "./takes";

const LIST = "takes.json";
const TABLE = "takes.csv";
const MAX_BYTES = 2 ** 30; // unpacked: more is no practice, and no browser's memory
const MAX_ENTRIES = 100_000;

export class ArchiveError extends Error {}

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
  // At once: fflate's other way starts a worker from a blob, which the page's Content-Security-Policy forbids.
  return new Blob([zipSync(files) as BlobPart], { type: "application/zip" });
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
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const listed: unknown = JSON.parse(strFromU8(unpack(bytes, new Set([LIST])).get(LIST)!));
    if (!isList(listed)) throw new Error(LIST);
    const recordings = unpack(bytes, new Set(listed.map(({ recording }) => recording)));
    return listed.map(({ recording, result, ...take }) => {
      const wav = recordings.get(recording);
      if (!wav || !isOurWav(wav)) throw new Error(recording);
      const frames = result.frames && { ...result.frames, values: Float32Array.from(result.frames.values, known) };
      const words = result.words && result.words.map((word) => ({ ...word, value: known(word.value) }));
      const kept = new Blob([wav as BlobPart], { type: "audio/wav" });
      return { ...take, recording: kept, result: { ...result, frames, words, picture: null } };
    });
  } catch (error) {
    throw new ArchiveError(String(error));
  }
}

/** JSON writes NaN as null. */
function known(value: number | null): number {
  return value ?? NaN;
}

/** The files of a zip that have one of the names. Names are only looked up: no folder is ever made from them. */
function unpack(bytes: Uint8Array, names: Set<string>): Map<string, Uint8Array> {
  let [entries, total] = [0, 0];
  const filter = ({ name, originalSize }: UnzipFileInfo) => {
    if (++entries > MAX_ENTRIES) throw new Error(`more than ${MAX_ENTRIES} files`);
    if (!names.has(name)) return false;
    total += originalSize;
    if (total > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes`);
    return true;
  };
  return new Map(Object.entries(unzipSync(bytes, { filter })));
}
