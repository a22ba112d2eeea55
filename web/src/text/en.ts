/** What the page says, in English. French has the same keys: the compiler holds it to them. */

import type { Result } from "../engine/engine";
import type { Reason, Refusal } from "../engine/refusal";
import type { MicrophoneProblem } from "../audio/recorder";

export const en = {
  locale: "en",
  title: "Accent: how near to a native?",
  name: { french: "French", english: "English" } as Record<string, string>,
  skip: "Skip to the sentence",
  nav: { practise: "Practise", progress: "Progress", about: "How it works" },
  navLabel: "Pages",
  otherLanguage: "Français",
  theme: { light: "Light colours", dark: "Dark colours" },
  intro: (target: string) =>
    `Read a sentence aloud and hear how near you came to a native speaker of ${target}. Your voice stays in this browser.`,
  loading: "Getting the ear ready …",
  loadFailed: (what: string) =>
    `The page could not load its model (${what}). Reload it, or come back with a connection.`,
  newVersion: "A newer version of this page is ready.",
  reload: "Reload",

  readAloud: "Read this aloud",
  yourText: "Your own text",
  corpus: "From the recordings of natives",
  writeOwn: "Write your own",
  writeLabel: "The text that you will read",
  writePlaceholder: "Type or paste a sentence",
  useText: "Use this text",
  cancel: "Cancel",
  another: "Another sentence",
  choose: "Choose",
  hearNative: "Hear a native",
  hearVoice: "Hear it (computer voice)",

  record: "Record",
  stop: "Stop",
  again: "Record again",
  space: "Space",
  openFile: "Open a recording",
  microphone: "Microphone",
  asking: "Allow the microphone in the browser’s question …",
  listening: "Listening. Stops by itself when you do.",
  loudness: { silent: "Waiting for your voice", quiet: "Too quiet", good: "Good", loud: "Too loud" },
  scoring: "Listening to your take …",
  scoringShare: (percent: string) => `Listening to your take, ${percent} done …`,
  reachedLength: "That was 30 seconds, the longest take. Here is what was heard.",
  wordsNotFound: "The words of the sentence were not found in this take. Read it once more, as it stands.",
  wordsOfOwn: "Words can be found only in the page’s own sentences; for this text there is the sound alone.",
  beganLate:
    "The microphone began late, so your first word may be missing. Record again, and speak once the line moves.",
  lostDevice: "The microphone went away while you spoke. This is what it heard before. Plug it in to record again.",
  problems: {
    denied:
      "The microphone is not allowed here. Click the symbol left of the page’s address, allow it, and press Record again; or open a recording instead.",
    none: "No microphone was found. Plug one in and press Record again; or open a recording instead.",
    busy: "The microphone could not be started: another program may hold it. Close that one and press Record again.",
    lost: "The microphone went away. Plug it in and press Record again.",
    unsupported:
      "This browser does not let this page record. Open a recording instead, or try a newer browser (over https).",
  } satisfies Record<MicrophoneProblem, string>,
  unreadable: (name: string) =>
    `${name} could not be read as sound. This browser plays WAV, MP3, M4A, Ogg, FLAC and WebM as a rule, whole and not protected.`,
  rateAssumed: "This file does not state its sample rate. It was taken as 48,000 Hz.",
  tooLongToKeep: "Longer than five minutes: scored, but not kept in your progress.",
  failed: (what: string) => `Something went wrong while listening (${what}). Reload the page and try once more.`,
  storageFailed: "This browser did not let the page keep the take. It is lost when you leave; export it before.",

  voices: (of: Record<string, number>): string => {
    const parts = Object.entries(of).map(([label, count]) => `${count} ${en.name[label] ?? label}`);
    return `${[parts.slice(0, -1).join(", "), parts.at(-1)].filter(Boolean).join(" and ")} voices`;
  },
  caution: (voices: string, low: string | null, elsewhere: boolean) =>
    `A first model, not a judge: it was tested on ${voices}${elsewhere ? "" : ", all from the source that it learnt from"}. ` +
    (low === null
      ? "How often it is right between a native and a stranger is not known. "
      : `Between a native and a stranger it may be right as rarely as ${low} of the time. `) +
    "Listen and compare; do not take its verdict as a grade.",
  verdict: {
    within: "Within the range of natives",
    near: "Near the range of natives",
    below: "Not yet in the range of natives",
    elsewhere: "More like another language",
    refused: "Can’t tell",
  },
  place: (percentile: number) =>
    percentile >= 99.5
      ? "As native as any recording of a native that it was compared with."
      : percentile < 0.5
        ? "All recordings of natives came out higher."
        : `Higher than ${Math.round(percentile)} of 100 recordings of natives.`,
  stripLabel: (place: string) => `Your take among recordings of natives. ${place}`,
  stripNatives: "natives",
  stripYou: "you",
  stripLess: "less native",
  stripMore: "more native",
  refused: (refusal: Refusal, number: (value: number, digits?: number) => string): string => {
    const { found, needed } = refusal;
    const reasons: Record<Reason, string> = {
      silent: "No speech was heard. Check that the right microphone is on.",
      "too little speech": `Only ${number(found, 1)} s of speech. Record at least ${number(needed)} s.`,
      "too many pauses": `Only ${number(found, 1)} s of speech, in scraps. Speak on, without long pauses.`,
      "too noisy": `Too noisy: your voice is ${number(found)} dB above the noise, ${number(needed)} are needed. Go to a quieter place, or nearer to the microphone.`,
      clipped: `Distorted: ${number(100 * found, 1)}% of the sound is cut off at the top. Turn the microphone down, or step back from it.`,
      muffled: `Muffled: nothing above ${number(found)} Hz, ${number(needed)} are needed. Use another microphone, and no headset in telephone mode.`,
      "unlike speech":
        "Unlike the clear, single voices that the model knows. If there was music or another voice, record without it; if not, go nearer to the microphone, or use another one.",
      "too close to call": "Too close to call. Record a little more, or another sentence.",
      unproven: "Nothing has shown yet that this model tells natives from strangers, so it gives no verdict.",
    };
    return reasons[refusal.kind];
  },
  next: {
    word: (word: string) => `Listen to “${word}”, then say the sentence again.`,
    stretch: (from: string, to: string) =>
      `Listen from ${from} to ${to} s, where it was least native, then say it again.`,
    nothing: "No place stood out. Say it again for a surer answer, or take another sentence.",
    onward: "Well done. Take another sentence.",
  },
  change: {
    better: "Better than your last three takes of this sentence, by more than retakes differ.",
    worse: "Lower than your last three takes of this sentence, by more than retakes differ.",
  },
  timeline: "Your take in time",
  timelineHelp: "Arrow keys move, Enter plays from there",
  timelineAt: (seconds: string) => `${seconds} seconds`,
  leastNative: "Least native",
  stretch: (from: string, to: string) => `${from} to ${to} s`,
  words: "The words as you said them",
  wordLabel: { good: "", weak: ", less native" },
  play: "Play",
  pause: "Stop",
  whose: { label: "Whose voice", mine: "You", native: "Native", voice: "Computer voice", both: "Both" },
  slow: "Slower (¾)",
  details: "Details",
  languages: "Which language it sounded like",
  spectrogram: "Spectrogram: low to high from bottom to top, what is loud stands out",
  spectrogramLabel: (hz: string) => `Spectrogram of the take, up to ${hz} Hz`,
  firstPiece: (seconds: string) => `The first ${seconds} s are shown.`,
  measures: "The recording",
  measureNames: {
    duration_s: "Length",
    speech_s: "Speech in it",
    loudness_dbfs: "Level of the voice",
    snr_db: "Voice above the noise",
    clipped_fraction: "Cut off at full scale",
    bandwidth_hz: "Highest frequency",
    source_rate_hz: "Sample rate",
  } as Partial<Record<keyof Result["measures"], string>>,
  makeCard: "Make a card to share",
  saveRecording: "Save the recording",

  progressTitle: "Your progress",
  noTakes: "No takes yet. Record a sentence, and it will be here tomorrow.",
  kept: (count: number, size: string) =>
    `${count} ${count === 1 ? "take" : "takes"}, ${size}. Kept in this browser only, until you delete them.`,
  export: "Export all",
  import: "Import",
  deleteAll: "Delete all",
  deleteQuestion: "Delete all takes of this browser? Export them first if you want to keep them.",
  deleteYes: "Delete",
  imported: (count: number, here: number) =>
    `${count} ${count === 1 ? "take" : "takes"} imported${here ? `; ${here} ${here === 1 ? "was" : "were"} here already` : ""}.`,
  importNotKept: "This browser did not let the page keep those takes, so none was imported.",
  importFailed: (name: string) => `${name} is not a zip that this page exported.`,
  ownText: "Without a text",
  openedFile: (name: string) => `Recording: ${name}`,
  chartLabel: (count: number, best: string) => `${count} graded takes from first to last. Best: ${best}`,
  openTake: "Show the result",
  deleteTake: "Delete this take",
  practiseThis: "Practise this",
  takesCount: (count: number) => `${count} ${count === 1 ? "take" : "takes"}`,

  cardTitle: "A card to share",
  cardText: "A picture made on this device. It holds no recording.",
  cardAlt: (verdict: string) => `Card with the sentence and the verdict: ${verdict}`,
  download: "Save the picture",
  share: "Share",
  close: "Close",
  cardFoot: (target: string) => `Accent · ${target}`,

  about: [
    [
      "What it answers",
      "How near the sounds of your recording come to those of natives who were recorded in the same way. Not whether you are understood, and not your grammar.",
    ],
    [
      "How",
      "A neural network compares the sounds of your take, one by one, with those of natives and of speakers of other languages. Your take gets a place among recordings of natives; where it cannot tell, it says so and gives no number.",
    ],
    [
      "What stays here",
      "Everything. The network runs in your browser, also offline. Nothing that you say or type leaves this device; takes are kept in this browser until you delete them.",
    ],
    [
      "What to distrust",
      "A short take says little: three sentences say more than one. A bad microphone sounds like an accent. Two takes always differ a little, so the page calls a take better only where it is more than that.",
    ],
  ] as [string, string][],
  aboutTitle: "How it works",
  licences: "Licences of the fonts and libraries in this page",
  evidence: (voices: string, clips: number, auc: string, interval: [string, string] | null) =>
    `This model was tested on ${clips} recordings of ${voices} that it had never met. ` +
    `Of a pair of a native and a stranger it picked the native ${auc} of the time ` +
    (interval ? `(95% interval: ${interval[0]} to ${interval[1]}).` : "(of so few voices, its interval is not known)."),
};

export type Texts = typeof en;
