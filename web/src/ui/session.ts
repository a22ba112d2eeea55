/** What is on the learner's desk: the text, the take, and what is being done. It outlives a change of language. */

import type { Sound } from "../engine/engine";
import type { Take } from "../store/takes";
import { corpusSentences, type Sentence, sentencesFor } from "../text/sentences";

export interface Shown {
  take: Take;
  sound: Sound;
  url: string; // of the recording, for the player
  note: "length" | "lost" | "late" | "rate" | "long" | "storage" | null;
}

const FIRST = 2; // of middle length: the shortest hold hardly a second of speech, which is too little for some

export class Session {
  sentences: Sentence[] = [];
  sentence: Sentence | null = null;
  ownText: string | null = null;
  shown: Shown | null = null;

  open(target: string): void {
    this.sentences = sentencesFor(target);
    this.sentence ??= this.sentences[FIRST] ?? null;
  }

  /** Offer the corpus's sentences after our own. */
  addCorpus(texts: string[]): void {
    this.sentences = [...this.sentences.filter((sentence) => sentence.difficulty), ...corpusSentences(texts)];
    this.sentence ??= this.sentences[0] ?? null;
  }

  /** What is to be read now; null where the learner speaks without a text. */
  get text(): string | null {
    return this.ownText ?? this.sentence?.text ?? null;
  }

  /** The next difficulty's sentence of the same length, so that each is met before any is repeated. */
  next(): void {
    const corpus = this.sentence !== null && this.sentence.difficulty === null;
    const among = this.sentences.filter((sentence) => (sentence.difficulty === null) === corpus);
    const per = this.sentence?.difficulty?.sentences.length ?? 1;
    const beyond = (this.sentence ? among.indexOf(this.sentence) : -1) + per;
    this.choose(among[beyond < among.length ? beyond : (beyond + 1) % per]);
  }

  choose(sentence: Sentence | null): void {
    this.ownText = null;
    this.sentence = sentence;
    this.show(null);
  }

  write(text: string): void {
    this.ownText = text;
    this.show(null);
  }

  show(shown: Shown | null): void {
    if (this.shown) URL.revokeObjectURL(this.shown.url);
    this.shown = shown;
  }
}
