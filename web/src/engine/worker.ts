/** The engine's own thread, so that the page stays quick while a recording of 20 minutes is heard. */

import { type Card, FORMAT } from "./card";
import { Ear } from "./ear";
import type { Model, Result, Sound } from "./engine";
import { fetched } from "./fetched";
import { score } from "./score";
import type { Reading } from "./words";

export type Request = { id: number } & ({ load: true } | { wake: true } | { sound: Sound; text: string | null });
export type Reply = { id: number } & ({ answer: Model | Result | null } | { progress: number } | { error: string });

// The card is small and there at once; the networks take seconds, in which the learner reads the sentence.
const card = fetched("ear.json").then(read);
const readings = fetched("readings.json").then((response) => response.json() as Promise<Reading[]>);
const ear = wake();
ear.catch(() => {}); // whoever asks for it is told
let last: Promise<void> = Promise.resolve();

async function read(response: Response): Promise<Card> {
  const found = (await response.json()) as Card;
  if (found.format !== FORMAT) throw new Error(`ear.json: format ${found.format}, this page reads ${FORMAT}`);
  return found;
}

async function wake(): Promise<Ear> {
  const [found] = await Promise.all([card, readings]);
  const made = await Ear.load(found);
  const noise = Float32Array.from({ length: found.audio.sample_rate * 2 }, () => 2000 * (Math.random() - 0.5));
  await made.listen(noise); // the first run is the slowest: not the learner's
  return made;
}

async function answer(data: Request, progress: (share: number) => void): Promise<Model | Result | null> {
  if ("load" in data) {
    const { target, classes, evidence, fitness } = await card;
    const words = (await readings).length > 0;
    return { target, classes, evidence, words, verdicts: fitness.verdicts };
  }
  const made = await ear;
  if ("wake" in data) return null;
  const reading = (await readings).find(({ text }) => text === data.text) ?? null;
  return score(data.sound, made, reading, progress);
}

/** One after another, so that a rehearsal has ended when its take comes. */
self.onmessage = ({ data }: MessageEvent<Request>) => {
  const reply = (message: object) => self.postMessage({ id: data.id, ...message } as Reply);
  last = last
    .then(() => answer(data, (share) => reply({ progress: share })))
    .then((found) => reply({ answer: found }))
    .catch((error) => reply({ error: error instanceof Error ? error.message : String(error) }));
};
