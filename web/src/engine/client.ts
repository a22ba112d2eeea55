/** The engine as the page uses it: its worker behind promises. */

import type { Engine, Model, Result, Sound } from "./engine";
import type { Reply, Request } from "./worker";

interface Waiting {
  resolve: (value: never) => void;
  reject: (error: Error) => void;
  progress?: (share: number) => void;
}

type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;

export class WorkerEngine implements Engine {
  private readonly worker = new Worker("worker.js", { type: "module" });
  private readonly waiting = new Map<number, Waiting>();
  private last = 0;
  hearing = 0; // takes whose score is awaited

  constructor() {
    this.worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      const waiting = this.waiting.get(data.id);
      if (!waiting) return;
      if ("progress" in data) return waiting.progress?.(data.progress);
      this.waiting.delete(data.id);
      if ("error" in data) waiting.reject(new Error(data.error));
      else waiting.resolve(data.answer as never);
    };
    this.worker.onerror = (event) => {
      for (const waiting of this.waiting.values()) waiting.reject(new Error(event.message || "worker.js"));
      this.waiting.clear();
    };
  }

  load(): Promise<Model> {
    return this.ask<Model>({ load: true });
  }

  async wake(): Promise<void> {
    await this.ask<null>({ wake: true });
  }

  async score(sound: Sound, text: string | null, progress?: (share: number) => void): Promise<Result> {
    this.hearing++;
    try {
      return await this.ask<Result>({ sound, text }, progress);
    } finally {
      this.hearing--;
    }
  }

  private ask<T>(request: WithoutId<Request>, progress?: (share: number) => void): Promise<T> {
    const id = ++this.last;
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, progress });
      this.worker.postMessage({ id, ...request });
    });
  }
}
