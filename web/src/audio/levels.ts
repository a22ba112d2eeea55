/** What the microphone's level says while recording: too quiet, good, too loud; and when the speaker has stopped. */

export type Loudness = "silent" | "quiet" | "good" | "loud";

const SPEECH_DB = 12; // above the room's noise
const WITHIN_DB = 30; // of the loudest moment
const QUIET_DBFS = -45; // speech below this drowns in a laptop's noise
const FULL_SCALE = 0.98;
const HOLD_SECONDS = 0.8; // that a warning stays
const END_SECONDS = 1.6; // of silence that end a take: longer than a pause for breath
const MIN_SPEECH_SECONDS = 0.5; // before that: a cough and a click do not count
const LOWEST_DBFS = -90;

export class LevelWatch {
  loudness: Loudness = "silent";
  speechSeconds = 0;
  private floor = 0;
  private loudest = LOWEST_DBFS;
  quietSeconds = 0;
  private sinceLoud = Infinity;
  private sinceSpeech = Infinity;

  /** Take in a block of samples; true once the speaker has stopped. */
  hear(samples: Float32Array, rate: number): boolean {
    const seconds = samples.length / rate;
    let energy = 0;
    let peak = 0;
    for (const sample of samples) {
      energy += sample * sample;
      peak = Math.max(peak, Math.abs(sample));
    }
    const level = Math.max(10 * Math.log10(energy / samples.length + 1e-12), LOWEST_DBFS);
    this.floor = Math.min(level, this.floor + 3 * seconds); // follows a room that grows louder, slowly
    this.loudest = Math.max(level, this.loudest);
    const speech = level > Math.max(this.floor + SPEECH_DB, this.loudest - WITHIN_DB, -70);
    if (speech) this.speechSeconds += seconds;
    this.quietSeconds = speech ? 0 : this.quietSeconds + seconds;
    this.sinceSpeech = speech ? 0 : this.sinceSpeech + seconds;
    this.sinceLoud = peak >= FULL_SCALE ? 0 : this.sinceLoud + seconds;
    if (this.sinceLoud < HOLD_SECONDS) this.loudness = "loud";
    else if (this.sinceSpeech > HOLD_SECONDS) this.loudness = "silent";
    else this.loudness = this.loudest < QUIET_DBFS ? "quiet" : "good";
    return this.speechSeconds >= MIN_SPEECH_SECONDS && this.quietSeconds >= END_SECONDS;
  }
}
