/** What a take was worth: verdict, place among natives, where it was least native, and what lies behind it. */

import { localVoice, speak } from "../audio/voice";
import type { Evidence } from "../engine/card";
import type { Model, Stretch } from "../engine/engine";
import type { Measures } from "../engine/trim";
import { change, keyOf, lines } from "../store/practice";
import { LOCALES, sentencesFor } from "../text/sentences";
import { typeset } from "../text/texts";
import type { App } from "./app";
import { showCard } from "./card";
import { h, save } from "./dom";
import { icon } from "./icons";
import type { Shown } from "./session";
import { spectrogram } from "./spectrogram";
import { strip } from "./strip";
import { timeline } from "./timeline";

const FEW_VOICES = 20; // in the test split: below this the natives' range is that of a few people
const LOW_AUC = 0.8; // lower end of the interval: below this the model may be little better than a coin

/** Whether so little speaks for the model that a learner must know it before its verdict. */
function restsOnLittle({ voices, roc_auc_low: low, second_source }: Evidence): boolean {
  return Math.min(...Object.values(voices)) < FEW_VOICES || low === null || low < LOW_AUC || !second_source;
}

export function renderResult(app: App, shown: Shown, onward: () => void): HTMLElement[] {
  const { say, numbers, model } = app;
  if (!model) return [];
  const { take } = shown;
  const { grade, refused } = take.result;
  const notes = {
    length: say.reachedLength,
    lost: say.lostDevice,
    late: say.beganLate,
    rate: say.rateAssumed,
    long: say.tooLongToKeep,
    storage: say.storageFailed,
  };
  const note = shown.note && h("p", { class: "note" }, notes[shown.note]);
  const verdict = grade?.verdict ?? "refused";
  const head = [
    take.fileName !== null && h("p", { class: "eyebrow" }, say.openedFile(take.fileName)),
    (grade || refused?.kind === "unproven") && restsOnLittle(model.evidence) && cautionOf(app, model),
    h("h2", { class: `verdict ${verdict}`, id: "verdict" }, say.verdict[verdict]),
  ];
  const parts: (HTMLElement | SVGElement | false | null)[] = [...head];
  if (grade) {
    parts.push(h("p", { class: "place" }, say.place(grade.percentile)));
    const compared = comparison(app, shown);
    if (compared) parts.push(h("p", { class: "change" }, say.change[compared]));
    parts.push(strip(grade, say));
  } else if (refused) {
    parts.push(h("p", { class: "place" }, say.refused(refused, numbers.number)));
  }
  if (note) parts.push(note);
  parts.push(listening(app, shown, onward), details(app, shown), actions(app, shown));
  return parts.filter((part): part is HTMLElement => Boolean(part));
}

function cautionOf(app: App, { evidence }: Model): HTMLElement {
  const { say, numbers } = app;
  const { voices, roc_auc_low: low, second_source } = evidence;
  const text = say.caution(say.voices(voices), low === null ? null : numbers.percent(low), second_source);
  return h("p", { class: "caution" }, icon("warning"), h("span", {}, text));
}

function comparison(app: App, { take }: Shown): "better" | "worse" | null {
  const all = lines(app.takes);
  const line = all.find((one) => one.key === keyOf(take));
  if (!line || take.text === null || line.takes.at(-1)?.id !== take.id) return null;
  return change(line, all);
}

/** Waveform, words or stretches, and whose voice is to be heard. */
function listening(app: App, shown: Shown, onward: () => void): HTMLElement {
  const { say, numbers, player } = app;
  const { take, sound, url } = shown;
  const { frames, words, grade, stretches: weak } = take.result;
  const own = sentencesFor(take.target).some(({ id }) => id === take.sentenceId);
  const unknown = take.text !== null && !words && app.model!.words;
  const locale = LOCALES[take.target] ?? "";
  const voice = localVoice(locale);
  const [native] = (take.text !== null && app.natives[take.text]) || [];
  let whose: "mine" | "native" | "both" = "mine";

  const hearOther = async (text: string | null) => {
    if (native) await player.play(native);
    else if (voice && (text ?? take.text)) await speak(text ?? take.text!, voice, player.rate);
  };
  const hear = async (stretch: Stretch | null, text: string | null) => {
    line.mark(stretch);
    if (whose !== "native") await player.play(url, stretch);
    if (whose !== "mine") await hearOther(text);
  };
  const line = timeline(
    sound,
    frames,
    weak,
    say,
    numbers,
    (seconds) => void hear({ start: seconds, end: Infinity }, null),
  );
  const playButton = h(
    "button",
    {
      type: "button",
      class: "soft filled",
      id: "play",
      onclick: () => (player.playing ? player.stop() : void hear(null, null)),
    },
    icon("play"),
    h("span", {}, say.play),
  );
  app.followers.add((playing, seconds) => {
    if (playing === url) line.seek(seconds);
    playButton.querySelector("span")!.textContent = seconds === null ? say.play : say.pause;
    playButton.querySelector("path")!.replaceWith(icon(seconds === null ? "play" : "stop").firstElementChild!);
  });

  const weakWord = words && [...words].filter((word) => word.below).sort((a, b) => a.value - b.value)[0];
  const next = !grade
    ? null
    : unknown && own
      ? say.wordsNotFound
      : grade.verdict === "within"
        ? say.next.onward
        : weakWord
          ? say.next.word(weakWord.text)
          : weak.length
            ? say.next.stretch(numbers.number(weak[0].start, 1), numbers.number(weak[0].end, 1))
            : say.next.nothing;
  return h(
    "div",
    { class: "listening" },
    next !== null && h("p", { class: "next" }, icon("next"), h("span", {}, next)),
    line.element,
    words &&
      h(
        "p",
        { class: "words", lang: locale, "aria-label": say.words },
        ...words.map((word) => {
          const low = word.below;
          return h(
            "button",
            {
              type: "button",
              class: low ? "word weak" : "word",
              "aria-label": `${word.text}${low ? say.wordLabel.weak : say.wordLabel.good}`,
              onclick: () => void hear(word, word.text),
            },
            typeset(word.text, locale),
          );
        }),
      ),
    grade && unknown && !own && h("p", { class: "small" }, say.wordsOfOwn),
    !words &&
      weak.length > 0 &&
      h(
        "p",
        { class: "moments" },
        h("span", { class: "moments-label" }, say.leastNative),
        ...weak.map((stretch) =>
          h(
            "button",
            { type: "button", class: "chip", onclick: () => void hear(stretch, null) },
            icon("play"),
            say.stretch(numbers.number(stretch.start, 1), numbers.number(stretch.end, 1)),
          ),
        ),
      ),
    h(
      "div",
      { class: "player" },
      playButton,
      (native || (voice && take.text)) &&
        h(
          "fieldset",
          { class: "segments" },
          h("legend", { class: "hidden" }, say.whose.label),
          ...(["mine", "native", "both"] as const).map((choice) =>
            h(
              "label",
              {},
              h("input", { type: "radio", name: "whose", checked: choice === whose, onchange: () => (whose = choice) }),
              h("span", {}, choice === "native" && !native ? say.whose.voice : say.whose[choice]),
            ),
          ),
        ),
      slower(app),
      grade?.verdict === "within" &&
        h("button", { type: "button", class: "soft", onclick: onward }, icon("next"), say.another),
    ),
  );
}

function slower(app: App): HTMLElement {
  const button = h(
    "button",
    {
      type: "button",
      class: "soft toggle",
      id: "slower",
      "aria-pressed": app.player.rate < 1,
      onclick: () => {
        app.player.rate = app.player.rate < 1 ? 1 : 0.75;
        button.setAttribute("aria-pressed", String(app.player.rate < 1));
      },
    },
    app.say.slow,
  );
  button.setAttribute("aria-pressed", String(app.player.rate < 1));
  return button;
}

const UNITS: Partial<Record<keyof Measures, (value: number, app: App) => string>> = {
  duration_s: (value, { numbers }) => `${numbers.number(value, 1)} s`,
  speech_s: (value, { numbers }) => `${numbers.number(value, 1)} s`,
  loudness_dbfs: (value, { numbers }) => `${numbers.number(value)} dBFS`,
  snr_db: (value, { numbers }) => `${numbers.number(value)} dB`,
  clipped_fraction: (value, { numbers, language }) =>
    typeset(`${numbers.number(100 * value, 1)}${language === "fr" ? " " : ""}%`, language),
  bandwidth_hz: (value, { numbers }) => `${numbers.number(value)} Hz`,
  source_rate_hz: (value, { numbers }) => `${numbers.number(value)} Hz`,
};

function details(app: App, { take }: Shown): HTMLElement {
  const { say, numbers } = app;
  const { languages, measures, picture } = take.result;
  const shares = Object.entries(languages).sort(([, a], [, b]) => b - a);
  return h(
    "details",
    { class: "details" },
    h("summary", {}, icon("chevron"), say.details),
    picture && h("h3", {}, say.spectrogram),
    picture && spectrogram(picture, say, numbers),
    picture &&
      measures.duration_s > picture.start + picture.spectrogram.frames * picture.frameSeconds + 1 &&
      picture.spectrogram.frames * picture.frameSeconds > 20 &&
      h("p", { class: "small" }, say.firstPiece(numbers.number(picture.spectrogram.frames * picture.frameSeconds))),
    shares.length > 0 && !take.result.refused && h("h3", {}, say.languages),
    shares.length > 0 &&
      !take.result.refused &&
      h(
        "dl",
        { class: "shares" },
        ...shares.flatMap(([label, share]) => [
          h("dt", {}, say.name[label] ?? label),
          h(
            "dd",
            {},
            h("meter", { value: share, min: 0, max: 1, "aria-label": say.name[label] ?? label }),
            numbers.percent(share),
          ),
        ]),
      ),
    h("h3", {}, say.measures),
    h(
      "dl",
      { class: "measures" },
      ...Object.entries(say.measureNames).flatMap(([name, label]) => [
        h("dt", {}, label),
        h("dd", {}, UNITS[name as keyof Measures]!(measures[name as keyof Measures], app)),
      ]),
    ),
  );
}

function actions(app: App, { take }: Shown): HTMLElement {
  const { say } = app;
  return h(
    "div",
    { class: "actions" },
    take.result.grade &&
      h(
        "button",
        { type: "button", class: "soft", id: "make-card", onclick: () => void showCard(app, take) },
        icon("card"),
        say.makeCard,
      ),
    h(
      "button",
      {
        type: "button",
        class: "soft",
        onclick: () => save(take.recording, "take.wav"),
      },
      icon("download"),
      say.saveRecording,
    ),
  );
}
