/** Keeps the page's own files, all of one version, so that it opens without a connection. */

declare const FILES: string[]; // written in by build.mjs, with
declare const VERSION: string; // the hash of their contents

// The scope of a service worker, which TypeScript's DOM library does not know.
interface Waiting extends Event {
  waitUntil(done: Promise<unknown>): void;
}
interface Fetching extends Waiting {
  readonly request: globalThis.Request;
  respondWith(response: Promise<Response>): void;
}
interface Scope extends EventTarget {
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
}

const scope = self as unknown as Scope;
const cacheName = `accent-${VERSION}`;

async function install(): Promise<void> {
  const cache = await caches.open(cacheName);
  await cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
  await scope.skipWaiting();
}

async function activate(): Promise<void> {
  const old = (await caches.keys()).filter((name) => name.startsWith("accent-") && name !== cacheName);
  await Promise.all(old.map((name) => caches.delete(name)));
  await scope.clients.claim();
}

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(cacheName);
  const kept = await cache.match(request, { ignoreSearch: true });
  if (kept && request.url.endsWith("/natives.json")) return fetch(request).catch(() => kept); // the server's own list
  return kept ?? fetch(request);
}

scope.addEventListener("install", (event) => (event as Waiting).waitUntil(install()));
scope.addEventListener("activate", (event) => (event as Waiting).waitUntil(activate()));
scope.addEventListener("fetch", (event) => {
  const { request, respondWith } = event as Fetching;
  if (request.method === "GET" && new URL(request.url).origin === location.origin) {
    respondWith.call(event, answer(request));
  }
});
