/** The page's texts in the learner's language, with the spaces that French typography wants. */

import { en, type Texts } from "./en";
import { fr } from "./fr";

export type Language = "en" | "fr";

/** Curly apostrophes; French has a no-break space before : ; ? ! » % and after «. */
export function typeset(text: string, locale: string): string {
  text = text.replaceAll("'", "’");
  if (locale !== "fr") return text;
  return text.replace(/ ([:;?!»%…])/g, "\u00a0$1").replace(/« /g, "«\u00a0");
}

function typesetAll<T>(value: T): T {
  if (typeof value === "string") return typeset(value, "fr") as T;
  if (typeof value === "function") return ((...given: unknown[]) => typesetAll(value(...given))) as T;
  if (Array.isArray(value)) return value.map(typesetAll) as T;
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, typesetAll(inner)])) as T;
  }
  return value;
}

export const TEXTS: Record<Language, Texts> = { en, fr: typesetAll(fr) };

export class Numbers {
  private readonly place: string; // dates are written as in the learner's country

  constructor(private readonly language: Language) {
    this.place = navigator.languages.find((tag) => tag.startsWith(language)) ?? language;
  }

  number = (value: number, digits = 0): string =>
    new Intl.NumberFormat(this.language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(
      value,
    );

  percent = (share: number): string =>
    new Intl.NumberFormat(this.language, { style: "percent", maximumFractionDigits: 0 }).format(share);

  date = (time: number): string =>
    new Intl.DateTimeFormat(this.place, { day: "numeric", month: "long", year: "numeric" }).format(time);

  moment = (time: number): string =>
    new Intl.DateTimeFormat(this.place, { dateStyle: "medium", timeStyle: "short" }).format(time);

  bytes = (count: number): string =>
    new Intl.NumberFormat(this.language, { style: "unit", unit: "megabyte", maximumFractionDigits: 1 }).format(
      count / 1e6,
    );
}
