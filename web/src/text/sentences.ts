/** Sentences to read, our own: each for a named difficulty. The words in which it lies stand between asterisks. */

import sentences from "./sentences.json";

export interface Difficulty {
  name: { en: string; fr: string };
  hint: { en: string; fr: string };
  sentences: string[]; // from short to long
}

export interface Sentence {
  id: string;
  text: string;
  marked: string; // with the asterisks
  difficulty: Difficulty | null; // none of the corpus's
}

/** By the class that they are for; accent/page/readings.py reads them too. */
const BY_TARGET: Record<string, Record<string, Difficulty>> = sentences;

export const LOCALES: Record<string, string> = { french: "fr", english: "en" };

/** Sentences of the corpus, of which the server has recordings by natives. */
export function corpusSentences(texts: string[]): Sentence[] {
  return texts.map((text) => ({ id: `corpus-${text}`, text, marked: text, difficulty: null }));
}

/** The sentences for a class of the model; none for one of which we have none. */
export function sentencesFor(target: string): Sentence[] {
  return Object.entries(BY_TARGET[target] ?? {}).flatMap(([key, difficulty]) =>
    difficulty.sentences.map((marked, i) => ({
      id: `${LOCALES[target]}-${key}-${i + 1}`,
      text: marked.replaceAll("*", ""),
      marked,
      difficulty,
    })),
  );
}
