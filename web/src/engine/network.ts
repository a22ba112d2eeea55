/** A network in a thread of its own, so that two of them hear a take at once: what its user sees. */

import type { Reply, Request, Tensor } from "./network-worker";

export class Network {
  private constructor(private readonly worker: Worker) {}

  /** The graph at that address; raises an `Error` where it cannot be had. */
  static async load(graph: string): Promise<Network> {
    const network = new Network(new Worker("network-worker.js", { type: "module" }));
    await network.ask({ graph });
    return network;
  }

  /** One run at a time. */
  run(inputs: Record<string, Tensor>): Promise<Record<string, Tensor>> {
    return this.ask({ inputs });
  }

  private ask(request: Request): Promise<Record<string, Tensor>> {
    return new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }: MessageEvent<Reply>) =>
        "error" in data ? reject(new Error(data.error)) : resolve(data.outputs);
      this.worker.onerror = (event) => reject(new Error(event.message || "network-worker.js"));
      this.worker.postMessage(request);
    });
  }
}
