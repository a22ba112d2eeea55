/** A network's thread: one graph in onnxruntime's WebAssembly. */

import * as ort from "onnxruntime-web/wasm";
import { fetched } from "./fetched";

export interface Tensor {
  data: Float32Array | BigInt64Array | Uint8Array;
  dims: readonly number[];
}

export type Request = { graph: string } | { inputs: Record<string, Tensor> };
export type Reply = { outputs: Record<string, Tensor> } | { error: string };

let session: ort.InferenceSession;

async function load(path: string): Promise<void> {
  const graph = await (await fetched(path)).arrayBuffer();
  ort.env.wasm.numThreads = 1; // more would need headers that a static host cannot set
  ort.env.wasm.wasmPaths = { wasm: new URL("ort.wasm", self.location.href).href }; // whose compiled code browsers keep
  ort.env.logLevel = "error";
  session = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
}

async function run(inputs: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  const feeds = Object.entries(inputs).map(([name, { data, dims }]) => [name, new ort.Tensor(data, dims)]);
  const outputs = Object.entries(await session.run(Object.fromEntries(feeds)));
  return Object.fromEntries(outputs.map(([name, { data, dims }]) => [name, { data, dims } as Tensor]));
}

self.onmessage = async ({ data }: MessageEvent<Request>) => {
  const reply = (message: Reply) => self.postMessage(message);
  try {
    if ("graph" in data) await load(data.graph);
    reply({ outputs: "inputs" in data ? await run(data.inputs) : {} });
  } catch (error) {
    reply({ error: error instanceof Error ? error.message : String(error) });
  }
};
