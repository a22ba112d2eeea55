/** The learner's takes, in this browser's own database until they are deleted. Other tabs are told of changes. */

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Result } from "../engine/engine";

export interface Take {
  id: string;
  time: number; // ms since 1970
  target: string;
  sentenceId: string | null; // of our own sentences
  text: string | null; // what was read; null where it is not known
  fileName: string | null; // of an opened recording
  recording: Blob; // WAV
  result: Result;
}

interface Schema extends DBSchema {
  takes: { key: string; value: Take };
}

export class TakeStore {
  private readonly database: Promise<IDBPDatabase<Schema>>;
  private readonly channel = new BroadcastChannel("accent-takes");

  constructor(changedElsewhere: () => void) {
    this.database = openDB<Schema>("accent", 1, {
      upgrade: (db) => void db.createObjectStore("takes", { keyPath: "id" }),
    });
    this.channel.onmessage = changedElsewhere;
  }

  /** All takes, the oldest first. */
  async all(): Promise<Take[]> {
    const takes = await (await this.database).getAll("takes");
    return takes.sort((a, b) => a.time - b.time || a.id.localeCompare(b.id));
  }

  async add(...takes: Take[]): Promise<void> {
    const transaction = (await this.database).transaction("takes", "readwrite");
    await Promise.all([...takes.map((take) => transaction.store.put(take)), transaction.done]);
    this.channel.postMessage(null);
  }

  async remove(id: string): Promise<void> {
    await (await this.database).delete("takes", id);
    this.channel.postMessage(null);
  }

  async clear(): Promise<void> {
    await (await this.database).clear("takes");
    this.channel.postMessage(null);
  }
}
