/** The engine's own thread, so that the page stays quick while a recording of 20 minutes is heard. */

import type { Card } from "./card";
import { Ear } from "./ear";
import type { Model, Result, Sound } from "./engine";
import { score } from "./score";
import type { Reading } from "./words";

export type Request = { id: number } & ({ load: true } | { sound: Sound; text: string | null });
export type Reply = { id: number } & ({ model: Model } | { result: Result } | { progress: number } | { error: string });

let ear: Ear | null = null;
let readings = new Map<string, Reading>();

async function load(): Promise<Model> {
  const fetched = async (path: string) => {
    const response = await fetch(path);
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response;
  };
  const [graph, grades, card, read] = await Promise.all([
    fetched("ear.onnx").then((response) => response.arrayBuffer()),
    fetched("grade.onnx").then((response) => response.arrayBuffer()),
    fetched("ear.json").then((response) => response.json() as Promise<Card>),
    fetched("readings.json").then((response) => response.json() as Promise<Reading[]>),
  ]);
  ear = await Ear.load(new URL("ort.wasm", self.location.href).href, graph, grades, card);
  readings = new Map(read.map((reading) => [reading.text, reading]));
  const noise = Float32Array.from({ length: card.audio.sample_rate * 2 }, () => 2000 * (Math.random() - 0.5));
  await ear.hear(noise); // the first run is the slowest: not the learner's
  await ear.grades(noise);
  return { target: card.target, classes: card.classes, evidence: card.evidence, verdicts: card.fitness.verdicts };
}

self.onmessage = async ({ data }: MessageEvent<Request>) => {
  const reply = (message: Omit<Reply, "id">) => self.postMessage({ id: data.id, ...message });
  try {
    if ("load" in data) reply({ model: await load() } as Omit<Reply, "id">);
    else {
      const progress = (share: number) => reply({ progress: share } as Omit<Reply, "id">);
      reply({ result: await score(data.sound, ear!, readings.get(data.text ?? "") ?? null, progress) } as Omit<Reply, "id">);
    }
  } catch (error) {
    reply({ error: error instanceof Error ? error.message : String(error) } as Omit<Reply, "id">);
  }
};
