/** The first view: a sentence, a Record button, and below it what the take was worth. */

import { decode, UnreadableError } from "../audio/decode";
import type { LevelWatch, Loudness } from "../audio/levels";
import { MicrophoneError, type MicrophoneProblem, microphones, Recorder } from "../audio/recorder";
import { localVoice, onVoices, speak } from "../audio/voice";
import { decodeWav, encodeWav, toMono } from "../audio/wav";
import type { Sound } from "../engine/engine";
import type { Take } from "../store/takes";
import { LOCALES, type Sentence } from "../text/sentences";
import { typeset } from "../text/texts";
import type { App } from "./app";
import { colour, h, replace } from "./dom";
import { icon } from "./icons";
import { renderResult } from "./result";
import type { Session, Shown } from "./session";

const KEPT_SECONDS = 300; // longer recordings are scored and not kept
const LIVE_BARS = 96;
const PAUSE_SECONDS = 0.25; // after which a take may be over

export class Practise {
  readonly element: HTMLElement;
  private recorder: Recorder | null = null;
  private busy = false;
  private failed = false; // there is no model to wait for
  private readonly reading = h("section", { class: "reading", "aria-labelledby": "read-aloud" });
  private readonly recordButton: HTMLButtonElement;
  private readonly recordLabel = h("span", { class: "record-label" });
  private readonly status = h("p", { class: "status" });
  private readonly notice = h("div", { class: "notice", role: "alert" });
  private readonly live = h("canvas", { class: "live", "aria-hidden": "true", width: 640, height: 64 });
  private readonly meter = h("p", { class: "meter", hidden: true });
  private readonly file: HTMLInputElement;
  private readonly device = h("select", { id: "microphone" });
  private readonly devices: HTMLElement;
  private readonly outcome = h("section", { class: "outcome" });
  private liveLevels: number[] = [];
  private loudness: Loudness | null = null;
  private rehearsing = false;
  private rehearsedSpeech = 0; // s of speech in the take when it was last heard ahead

  constructor(
    private readonly app: App,
    private readonly session: Session,
    firstVisit: boolean,
    private readonly scored: () => void, // shows the take in the view of now: the language may have changed meanwhile
  ) {
    const { say } = app;
    this.recordButton = h(
      "button",
      { type: "button", class: "record", id: "record", onclick: () => void this.toggle() },
      icon("microphone"),
      icon("stop"),
    );
    this.recordButton.setAttribute("aria-describedby", "status");
    this.status.id = "status";
    this.file = h("input", {
      type: "file",
      id: "file",
      class: "hidden",
      tabindex: -1,
      "aria-hidden": "true",
      accept: "audio/*,video/*,.mka,.oga,.opus",
      onchange: () => {
        const [chosen] = this.file.files ?? [];
        this.file.value = "";
        if (chosen) void this.openFile(chosen);
      },
    });
    this.devices = h(
      "p",
      { class: "devices", hidden: true },
      h("label", { for: "microphone" }, say.microphone),
      this.device,
    );
    this.device.addEventListener("change", () => app.settings.set("microphone", this.device.value));
    this.element = h(
      "div",
      { class: "practise" },
      firstVisit && h("p", { class: "intro" }, say.intro(this.targetName())),
      this.reading,
      h(
        "section",
        { class: "recording", "aria-label": say.record },
        this.live,
        h("div", { class: "record-row" }, this.recordButton, this.recordLabel),
        this.meter,
        this.status,
        h(
          "div",
          { class: "quiet-row" },
          h(
            "button",
            { type: "button", class: "text-button", id: "open-file", onclick: () => this.file.click() },
            icon("file"),
            say.openFile,
          ),
          this.file,
          this.devices,
        ),
      ),
      this.notice,
      this.outcome,
    );
    onVoices(() => this.renderReading());
    this.acceptDrops();
    this.renderReading();
    this.renderRecord();
    this.renderOutcome();
    void this.renderDevices();
  }

  get recording(): boolean {
    return this.recorder !== null;
  }

  /** Begin to record, or end it: what the button and the space bar do. */
  async toggle(): Promise<void> {
    if (this.recorder) return this.finish(null);
    if (this.busy) return;
    const { app, session } = this;
    if (this.useWritten) {
      this.useWritten();
      this.recordButton.focus();
    }
    const read = { sentence: session.ownText === null ? session.sentence : null, text: session.text };
    this.busy = true;
    this.app.player.stop();
    this.session.show(null);
    this.renderOutcome();
    this.notice.replaceChildren();
    this.status.textContent = app.say.asking;
    try {
      const model = await app.ready;
      this.bound = { ...read, target: model.target };
      this.recorder = await Recorder.start(app.settings.get("microphone"), {
        heard: (samples, watch, seconds) => this.heard(samples, watch, seconds),
        ended: (why) => void this.finish(why),
      });
      this.liveLevels = [];
      this.loudness = null;
      this.rehearsedSpeech = 0;
      if (this.recorder.deviceId) void this.renderDevices(this.recorder.deviceId);
    } catch (error) {
      if (error instanceof MicrophoneError) this.problem(error.problem);
      else this.fail((error as Error).message);
    } finally {
      this.busy = false;
      this.renderRecord();
    }
  }

  private useWritten: (() => void) | null = null; // what is being written is what is read next

  private bound: { sentence: Sentence | null; text: string | null; target: string } | null = null;

  private problem(problem: MicrophoneProblem): void {
    this.warn(this.app.say.problems[problem]);
  }

  private warn(text: string): void {
    this.notice.replaceChildren(h("p", { class: "warning" }, icon("warning"), h("span", {}, text)));
    this.notice.scrollIntoView({ block: "nearest" }); // it is the last on a phone's screen, or below it
  }

  private heard(samples: Float32Array, watch: LevelWatch, seconds: number): void {
    const { say, numbers } = this.app;
    this.liveLevels.push(samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0));
    this.drawLive();
    this.rehearse(watch);
    this.recordLabel.textContent = `${say.stop} · ${numbers.number(seconds, 0)} s`;
    if (watch.loudness !== this.loudness) {
      this.loudness = watch.loudness;
      this.meter.textContent = say.loudness[watch.loudness];
      this.meter.dataset.loudness = watch.loudness;
    }
  }

  /** Have the engine hear the take until a pause, one pause at a time: if it ends there, its verdict is there at once. */
  private rehearse({ quietSeconds, speechSeconds }: LevelWatch): void {
    if (this.rehearsing || !this.recorder) return;
    if (quietSeconds < PAUSE_SECONDS || speechSeconds === this.rehearsedSpeech) return;
    this.rehearsing = true;
    this.rehearsedSpeech = speechSeconds;
    void decodeWav(encodeWav(this.recorder.sound()))
      .then((sound) => this.app.engine.score(sound, null))
      .catch(() => {}) // the take itself will say so
      .finally(() => (this.rehearsing = false));
  }

  private drawLive(): void {
    const context = this.live.getContext("2d")!;
    const { width, height } = this.live;
    context.clearRect(0, 0, width, height);
    const step = width / LIVE_BARS;
    const shown = this.liveLevels.slice(-LIVE_BARS);
    for (const [i, level] of shown.entries()) {
      context.fillStyle = colour(level >= 0.98 ? "warm" : "accent");
      const tall = Math.max(3, Math.min(level ** 0.6, 1) * height);
      context.beginPath();
      context.roundRect(width - (shown.length - i) * step, (height - tall) / 2, step * 0.6, tall, step * 0.3);
      context.fill();
    }
  }

  private async finish(why: "silence" | "length" | "lost" | null): Promise<void> {
    const { recorder, bound } = this;
    if (!recorder || !bound) return;
    this.recorder = null;
    const sound = recorder.stop();
    if (!sound.channels[0].length) {
      this.renderRecord();
      return why === "lost" ? this.problem("lost") : undefined; // stopped before anything was heard
    }
    await this.score(sound, bound, null, why === "length" || why === "lost" ? why : recorder.late ? "late" : null);
  }

  /** Score a recording from a file. */
  async openFile(file: File): Promise<void> {
    if (this.busy || this.recorder) return;
    this.notice.replaceChildren();
    this.session.show(null);
    this.renderOutcome();
    this.busy = true;
    this.status.textContent = this.app.say.scoring;
    try {
      const [model, decoded] = await Promise.all([this.app.ready, decode(file)]);
      const bound = { sentence: null, text: null, target: model.target };
      await this.score(decoded, bound, file.name, decoded.rateStated ? null : "rate");
    } catch (error) {
      if (error instanceof UnreadableError) this.warn(this.app.say.unreadable(file.name));
      else this.fail((error as Error).message);
    } finally {
      this.busy = false;
      this.renderRecord();
    }
  }

  private async score(
    sound: Sound,
    read: { sentence: Sentence | null; text: string | null; target: string },
    fileName: string | null,
    note: Shown["note"],
  ): Promise<void> {
    const { app } = this;
    this.busy = true;
    this.renderRecord();
    this.status.textContent = app.say.scoring;
    try {
      const start = performance.now();
      const recording = encodeWav(sound);
      const heard = fileName === null ? await decodeWav(recording) : sound; // what is kept is what is scored
      const result = await app.engine.score(heard, read.text, (share) => {
        if (share < 1) this.status.textContent = app.say.scoringShare(app.numbers.percent(share));
      });
      const take: Take = {
        id: crypto.randomUUID(),
        time: Date.now(),
        target: read.target,
        sentenceId: read.sentence?.id ?? null,
        text: read.text,
        fileName,
        recording,
        result,
      };
      if (heard.channels[0].length > KEPT_SECONDS * heard.rate) note = "long";
      else {
        app.takes = [...app.takes, take];
        app.store.add(take).catch(() => this.warn(app.say.storageFailed));
      }
      this.session.show({ take, sound: toMono(heard), url: URL.createObjectURL(recording), note });
      this.scored();
      performance.measure("verdict", { start }); // for benchmarks/page.py
      const { grade, refused } = result;
      app.announce(
        grade
          ? `${app.say.verdict[grade.verdict]}. ${app.say.place(grade.percentile)}`
          : `${app.say.verdict.refused}. ${refused ? app.say.refused(refused, app.numbers.number) : ""}`,
      );
    } catch (error) {
      this.warn(app.say.failed(error instanceof Error ? error.message : String(error)));
    } finally {
      this.busy = false;
      this.renderRecord();
    }
  }

  /** Show the result of a new take, and scroll to it where it lies below the screen. */
  showResult(): void {
    this.renderOutcome();
    this.renderRecord();
    const verdict = document.getElementById("verdict");
    if (verdict && verdict.getBoundingClientRect().bottom > 0.7 * innerHeight) {
      this.recordButton.closest("section")!.scrollIntoView({ block: "start" });
    }
  }

  private targetName(): string {
    return this.app.say.name[this.app.model?.target ?? "french"] ?? this.app.model?.target ?? "";
  }

  /** The sentence, and what to do with it. */
  renderReading(): void {
    const { app, session } = this;
    const { say } = app;
    const { sentence, ownText } = session;
    this.useWritten = null;
    const locale = LOCALES[app.model?.target ?? ""] ?? "";
    const voice = localVoice(locale);
    const text = session.text ?? "";
    const natives = app.natives[text] ?? [];
    replace(
      this.reading,
      h("h1", { id: "read-aloud", class: "eyebrow" }, ownText === null ? say.readAloud : say.yourText),
      h(
        "p",
        { class: `sentence${text.length > 70 ? " long" : ""}`, lang: locale, id: "sentence" },
        ...(ownText === null && sentence ? marked(typeset(sentence.marked, locale)) : [typeset(text, locale)]),
      ),
      ownText === null &&
        sentence?.difficulty &&
        h(
          "p",
          { class: "hint" },
          h("strong", {}, sentence.difficulty.name[app.language]),
          " ",
          typeset(sentence.difficulty.hint[app.language], app.language),
        ),
      h(
        "div",
        { class: "reading-actions" },
        natives.length > 0 &&
          h(
            "button",
            { type: "button", class: "soft", id: "hear", onclick: () => void app.player.play(natives[0]) },
            icon("speaker"),
            say.hearNative,
          ),
        natives.length === 0 &&
          voice &&
          h(
            "button",
            { type: "button", class: "soft", id: "hear", onclick: () => void speak(text, voice, app.player.rate) },
            icon("speaker"),
            say.hearVoice,
          ),
        h(
          "button",
          { type: "button", class: "soft", id: "another", onclick: () => this.change(() => session.next()) },
          icon("next"),
          say.another,
        ),
        this.picker(),
        h(
          "button",
          { type: "button", class: "soft", id: "write", onclick: () => this.write() },
          icon("pencil"),
          say.writeOwn,
        ),
      ),
    );
  }

  private change(how: () => void): void {
    if (this.recorder || this.busy) return; // a take belongs to the sentence that it was begun with
    how();
    this.app.player.stop();
    this.notice.replaceChildren();
    const focused = document.querySelector(":focus-visible")?.id; // after a click, Space is to record
    this.renderReading();
    if (focused) document.getElementById(focused)?.focus();
    this.renderOutcome();
  }

  private picker(): HTMLElement {
    const { app, session } = this;
    const select = h("select", {
      id: "choose",
      "aria-label": app.say.choose,
      onchange: () => this.change(() => session.choose(session.sentences[Number(select.value)])),
    });
    const groups = new Map<string, HTMLOptGroupElement>();
    for (const [i, sentence] of session.sentences.entries()) {
      const name = sentence.difficulty?.name[app.language] ?? app.say.corpus;
      let group = groups.get(name);
      if (!group) groups.set(name, (group = h("optgroup", { label: name })));
      group.append(
        h(
          "option",
          { value: i, selected: sentence === session.sentence },
          typeset(sentence.text, LOCALES[app.model?.target ?? ""] ?? ""),
        ),
      );
    }
    select.append(...groups.values());
    return h(
      "span",
      { class: "picker soft" },
      icon("list"),
      h("span", { "aria-hidden": "true" }, app.say.choose),
      select,
    );
  }

  private write(): void {
    if (this.recorder || this.busy) return;
    const { app, session } = this;
    const area = h("textarea", {
      id: "own-text",
      rows: 3,
      maxlength: 400,
      placeholder: app.say.writePlaceholder,
      "aria-label": app.say.writeLabel,
    });
    area.value = session.ownText ?? "";
    const close = () => {
      this.renderReading();
      document.getElementById("write")?.focus();
    };
    const use = () => {
      const text = area.value.trim().replace(/\s+/g, " ");
      this.change(() => (text ? session.write(text) : session.choose(session.sentence)));
      document.getElementById("write")?.focus();
    };
    this.useWritten = use;
    this.reading.replaceChildren(
      h("h1", { id: "read-aloud", class: "eyebrow" }, app.say.writeLabel),
      area,
      h(
        "div",
        { class: "reading-actions" },
        h("button", { type: "button", class: "soft filled", onclick: use }, app.say.useText),
        h("button", { type: "button", class: "soft", onclick: close }, app.say.cancel),
      ),
    );
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        use();
      }
    });
    area.focus();
  }

  private renderRecord(): void {
    const { say } = this.app;
    const on = this.recording;
    this.element.classList.toggle("is-recording", on);
    this.recordButton.classList.toggle("on", on);
    this.recordButton.classList.toggle("busy", this.busy && !on);
    this.recordButton.setAttribute("aria-pressed", String(on));
    const label = on ? say.stop : this.session.shown ? say.again : say.record;
    this.recordButton.setAttribute("aria-label", label);
    if (on) this.recordLabel.textContent = label;
    else this.recordLabel.replaceChildren(label, h("kbd", {}, say.space));
    this.live.hidden = this.meter.hidden = !on;
    if (on) {
      this.live.getContext("2d")!.clearRect(0, 0, this.live.width, this.live.height);
      this.meter.textContent = say.loudness.silent;
      this.meter.dataset.loudness = "silent";
    }
    if (!this.busy || on) this.status.textContent = on ? say.listening : this.app.model || this.failed ? "" : say.loading;
  }

  /** Called when the model is there, or can't be had. */
  modelReady(failure: string | null): void {
    if (failure !== null) this.fail(failure);
    this.renderReading();
    this.renderRecord();
    this.renderOutcome();
  }

  fail(why: string): void {
    this.failed = true;
    this.warn(this.app.say.loadFailed(why));
  }

  renderOutcome(): void {
    const { shown } = this.session;
    this.app.followers.clear();
    this.outcome.replaceChildren();
    this.element.classList.toggle("has-outcome", shown !== null);
    if (shown) this.outcome.append(...renderResult(this.app, shown, () => this.change(() => this.session.next())));
  }

  private async renderDevices(current?: string): Promise<void> {
    const found = await microphones();
    const chosen = current ?? this.app.settings.get("microphone");
    this.device.replaceChildren(
      ...found.map((device) =>
        h("option", { value: device.deviceId, selected: device.deviceId === chosen }, device.label),
      ),
    );
    this.devices.hidden = found.length < 2;
  }

  private acceptDrops(): void {
    const { element } = this;
    element.addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      element.classList.add("dropping");
    });
    element.addEventListener("dragleave", (event) => {
      if (!element.contains(event.relatedTarget as Node | null)) element.classList.remove("dropping");
    });
    element.addEventListener("drop", (event) => {
      event.preventDefault();
      element.classList.remove("dropping");
      const [file] = event.dataTransfer?.files ?? [];
      if (file) void this.openFile(file);
    });
  }
}

/** A text with the words between asterisks as marked ones. */
function marked(text: string): Node[] {
  return text
    .split("*")
    .map((part, i) => (i % 2 ? h("span", { class: "focus" }, part) : document.createTextNode(part)));
}
