/** What the page asks of the trained model, and what it gets back. The page knows nothing else of it. */

import type { Evidence } from "./card";
import type { Refusal } from "./refusal";
import type { Measures } from "./trim";
import type { Spectrogram } from "./typicality";

/** Sound as a decoder or a microphone gives it. */
export interface Sound {
  channels: Float32Array[];
  rate: number; // Hz
}

export interface Stretch {
  start: number; // s from the beginning of the recording
  end: number;
}

export interface Word extends Stretch {
  text: string;
  value: number; // mean grade of its frames
  below: boolean; // natives' range for so short a stretch
}

export const VERDICTS = ["within", "near", "below", "elsewhere"] as const; // elsewhere: rather another language
export type Verdict = (typeof VERDICTS)[number];

/** How near a take came to natives. Higher is more native. */
export interface Grade {
  value: number;
  low: number; // 95% interval for this length of speech
  high: number;
  percentile: number; // percent of natives' clips below it
  verdict: Verdict;
  natives: Natives; // for a take of as much speech
}

/** The grade sound by sound: `values[i]` is that of the moment `start + i * step`, NaN where there is no speech. */
export interface Frames {
  start: number;
  step: number;
  values: Float32Array;
  limit: number; // 5% of natives' sounds lie below
  span: number; // from there to their mean
}

/** Grades of natives' clips, with which a take is compared. */
export interface Natives {
  low: number; // 5% of them lie below
  high: number; // and 5% above
  values: number[];
}

export interface Picture {
  start: number; // s, of its first frame
  frameSeconds: number;
  minHz: number;
  maxHz: number;
  spectrogram: Spectrogram;
}

/** All there is to say of a take. A refused one has its measures, and no number that a verdict would rest on. */
export interface Result {
  refused: Refusal | null;
  languages: Record<string, number>; // probability of each class; of a refused take empty
  grade: Grade | null;
  frames: Frames | null;
  stretches: Stretch[]; // that sounded least native, the worst first
  words: Word[] | null; // null where the text is not known, or not found in the take
  speech: Stretch | null; // from the first to the last sound of speech
  measures: Measures;
  picture: Picture | null; // of the first piece with speech in it
}

/** What is to be known of the model before there is a take. */
export interface Model {
  target: string; // the class whose natives a take is compared with
  classes: string[];
  evidence: Evidence;
  words: boolean; // whether the words of our own sentences can be found
  verdicts: boolean; // false: nothing has shown that it tells the classes apart, and every take is refused
}

export interface Engine {
  load(): Promise<Model>;
  /** Resolves when the networks can hear: seconds after `load`. Takes may be given before. */
  wake(): Promise<void>;
  /** `progress` is told the share (0 to 1) that is done. */
  score(sound: Sound, text: string | null, progress?: (share: number) => void): Promise<Result>;
}
