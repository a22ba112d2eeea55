/** One sound at a time: a file or a stretch of it, at full or three-quarter speed, without a change of pitch. */

import type { Stretch } from "../engine/engine";

export class Player {
  rate = 1;
  private readonly audio = new Audio();
  private end = Infinity;
  private finished: () => void = () => {};
  private tick = 0;

  /** `moved` is told where the sound is, in s, and null when it stops. */
  constructor(private readonly moved: (url: string, seconds: number | null) => void) {
    this.audio.preservesPitch = true;
    this.audio.onended = () => this.stop();
  }

  get playing(): boolean {
    return !this.audio.paused;
  }

  /** Play a stretch, or all of it, to its end or until `stop`. */
  async play(url: string, stretch: Stretch | null = null): Promise<void> {
    this.stop();
    if (this.audio.src !== url) {
      this.audio.src = url;
      await new Promise((resolve) => {
        this.audio.onloadedmetadata = resolve;
        this.audio.onerror = resolve;
      });
    }
    this.audio.playbackRate = this.rate;
    this.audio.currentTime = Math.max(stretch?.start ?? 0, 0);
    this.end = stretch?.end ?? Infinity;
    const ended = new Promise<void>((resolve) => (this.finished = resolve));
    try {
      await this.audio.play();
    } catch {
      this.stop(); // the browser wants a click first, or the sound is broken
    }
    this.follow();
    return ended;
  }

  stop(): void {
    cancelAnimationFrame(this.tick);
    this.audio.pause();
    if (this.audio.src) this.moved(this.audio.src, null);
    this.finished();
    this.finished = () => {};
  }

  private follow(): void {
    if (this.audio.paused) return;
    if (this.audio.currentTime >= this.end) return this.stop();
    this.moved(this.audio.src, this.audio.currentTime);
    this.tick = requestAnimationFrame(() => this.follow());
  }
}
