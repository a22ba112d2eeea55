/** What all parts of the page share: language, colours, the engine, the takes, the player. */

import { Player } from "../audio/player";
import { WorkerEngine } from "../engine/client";
import type { Model } from "../engine/engine";
import { type Take, TakeStore } from "../store/takes";
import { type Language, Numbers, TEXTS } from "../text/texts";
import type { Texts } from "../text/en";

export type Theme = "light" | "dark";

/** Small choices that outlive a visit. */
class Settings {
  get(name: "language" | "theme" | "microphone"): string | null {
    try {
      return localStorage.getItem(`accent-${name}`);
    } catch {
      return null; // a browser that stores nothing still practises
    }
  }

  set(name: "language" | "theme" | "microphone", value: string): void {
    try {
      localStorage.setItem(`accent-${name}`, value);
    } catch {
      // as above
    }
  }
}

export class App {
  readonly settings = new Settings();
  readonly engine = new WorkerEngine();
  readonly store = new TakeStore(() => void this.refreshTakes());
  readonly player = new Player((url, seconds) => this.followers.forEach((follow) => follow(url, seconds)));
  readonly ready: Promise<Model>; // a learner can record
  readonly awake: Promise<void>; // and the networks can hear
  readonly followers = new Set<(url: string, seconds: number | null) => void>();
  model: Model | null = null;
  takes: Take[] = [];
  natives: Record<string, string[]> = {}; // addresses of native recordings of a sentence, where the server has some
  language: Language;
  onTakes: () => void = () => {};

  constructor(private readonly live: HTMLElement) {
    const wished = this.settings.get("language") ?? navigator.language.slice(0, 2);
    this.language = wished === "fr" ? "fr" : "en";
    this.ready = this.engine.load().then((model) => (this.model = model));
    this.awake = this.engine.wake();
    this.ready.catch(() => {}); // whoever awaits it, later, is told
  }

  get say(): Texts {
    return TEXTS[this.language];
  }

  get numbers(): Numbers {
    return new Numbers(this.language);
  }

  get theme(): Theme {
    const chosen = this.settings.get("theme");
    if (chosen === "light" || chosen === "dark") return chosen;
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }

  /** Have a screen reader say it. */
  announce(text: string): void {
    this.live.textContent = text;
  }

  async refreshTakes(): Promise<void> {
    this.takes = await this.store.all();
    this.onTakes();
  }

  /** The recordings that the server offers: none on a static host. */
  async loadNatives(): Promise<void> {
    const response = await fetch("natives.json").catch(() => null);
    if (response?.ok) this.natives = (await response.json()) as Record<string, string[]>;
  }
}
