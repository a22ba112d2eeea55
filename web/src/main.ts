/** The page: header, views by address, and what belongs to all of them. */

import { decodeWav } from "./audio/wav";
import { renderAbout } from "./ui/about";
import { App } from "./ui/app";
import { h, svg } from "./ui/dom";
import { icon } from "./ui/icons";
import { Practise } from "./ui/practise";
import { renderProgress } from "./ui/progress";
import { Session } from "./ui/session";

const VIEWS = ["practise", "progress", "about"] as const;
type View = (typeof VIEWS)[number];

const live = document.getElementById("live")!;
const header = document.getElementById("header")!;
const main = document.getElementById("main")!;
const app = new App(live);
const session = new Session();
let practise: Practise | null = null;
let failure: string | null = null;

function view(): View {
  const wished = location.hash.replace("#/", "") as View;
  return VIEWS.includes(wished) ? wished : "practise";
}

function render(): void {
  const { say } = app;
  document.documentElement.lang = app.language;
  document.documentElement.dataset.theme = app.theme;
  document.title = say.title;
  renderHeader();
  app.onTakes = () => view() === "progress" && renderView();
  practise = null;
  renderView();
}

function renderHeader(): void {
  const { say } = app;
  const current = view();
  const other = app.language === "en" ? "fr" : "en";
  const dark = app.theme === "dark";
  header.replaceChildren(
    h("a", { class: "skip", href: "#main", onclick: skip }, say.skip),
    h("a", { class: "wordmark", href: "#/practise", "aria-label": "Accent" }, mark(), h("span", {}, "Accent")),
    h(
      "nav",
      { "aria-label": say.navLabel },
      ...VIEWS.map((name) => h("a", { href: `#/${name}`, "aria-current": name === current && "page" }, say.nav[name])),
    ),
    h(
      "div",
      { class: "header-actions" },
      h(
        "button",
        { type: "button", class: "plain", lang: other, id: "language", onclick: () => void change(() => setLanguage(other)) },
        say.otherLanguage,
      ),
      h(
        "button",
        {
          type: "button",
          class: "round",
          id: "theme",
          "aria-label": dark ? say.theme.light : say.theme.dark,
          title: dark ? say.theme.light : say.theme.dark,
          onclick: () => void change(() => app.settings.set("theme", dark ? "light" : "dark")),
        },
        icon(dark ? "sun" : "moon"),
      ),
    ),
  );
}

function skip(event: Event): void {
  event.preventDefault();
  main.focus();
}

/** The letter e under a grave accent. */
function mark(): SVGSVGElement {
  return svg(
    "svg",
    { viewBox: "0 0 32 32", class: "mark", "aria-hidden": "true" },
    svg("path", { d: "M11 4.5 17.5 9", class: "grave" }),
    svg("path", { d: "M8.5 19.5h15a7.5 7.5 0 1 0-2.6 5.7", class: "e" }),
  );
}

/** Draw the page anew after a change of its looks; a take that is being recorded is scored first, not lost. */
async function change(how: () => void = () => {}): Promise<void> {
  while (practise?.recording) await practise.toggle(); // it may have begun anew while the first was scored
  const focused = document.activeElement?.id;
  how();
  render();
  if (focused) document.getElementById(focused)?.focus();
}

function setLanguage(language: "en" | "fr"): void {
  app.language = language;
  app.settings.set("language", language);
}

function renderView(): void {
  const name = view();
  main.dataset.view = name;
  if (name === "practise") {
    if (!practise) {
      practise = new Practise(app, session, app.takes.length === 0, () => practise?.showResult());
      if (app.model || failure !== null) practise.modelReady(failure);
    } else practise.renderOutcome();
    main.replaceChildren(practise.element);
  } else if (name === "progress") {
    main.replaceChildren(renderProgress(app, { open: (take) => void openTake(take), practise: practiseLine }));
  } else main.replaceChildren(renderAbout(app));
}

async function openTake(take: (typeof app.takes)[number]): Promise<void> {
  practiseLine(take, false);
  const sound = await decodeWav(take.recording);
  session.show({ take, sound, url: URL.createObjectURL(take.recording), note: null });
  go("practise");
}

function practiseLine({ sentenceId, text }: { sentenceId: string | null; text: string | null }, move = true): void {
  const sentence = session.sentences.find((one) => one.id === sentenceId);
  if (sentence) session.choose(sentence);
  else if (text !== null) session.write(text);
  if (move) go("practise");
}

function go(name: View): void {
  practise = null;
  location.hash = `#/${name}`;
  scrollTo(0, 0);
}

addEventListener("hashchange", () => {
  if (practise?.recording) void practise.toggle();
  app.player.stop();
  renderHeader();
  renderView();
  main.focus();
});

/** Space records, unless something else has the keyboard. */
addEventListener("keydown", (event) => {
  if (event.code !== "Space" || event.repeat || view() !== "practise" || event.ctrlKey || event.metaKey || event.altKey)
    return;
  const at = event.target as HTMLElement;
  if (at.closest("button, a, input, textarea, select, summary, dialog, [role=slider]")) return;
  event.preventDefault();
  void practise?.toggle();
});

/** A take that has no result yet is kept nowhere: ask before the page is left. */
addEventListener("beforeunload", (event) => {
  if (!practise?.recording && !app.engine.hearing) return;
  event.preventDefault();
  event.returnValue = true; // Chrome before 119 looks at nothing else
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => void change());

async function keepOffline(): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  const before = navigator.serviceWorker.controller; // none on the first visit
  const registration = await navigator.serviceWorker.register("sw.js");
  registration.addEventListener("updatefound", () => {
    const coming = registration.installing;
    coming?.addEventListener("statechange", () => {
      if (coming.state === "activated" && before) offerReload();
    });
  });
}

function offerReload(): void {
  const { say } = app;
  document.body.append(
    h(
      "div",
      { class: "update", role: "status" },
      say.newVersion,
      h("button", { type: "button", class: "soft filled", onclick: () => location.reload() }, say.reload),
    ),
  );
}

async function start(): Promise<void> {
  const natives = app.loadNatives();
  const asleep = app.awake.then(() => null, ({ message }: Error) => message);
  await app.refreshTakes().catch(() => {}); // a browser without a database still practises
  session.open("french");
  render();
  try {
    const model = await app.ready;
    if (model.target !== "french") {
      session.sentence = null;
      session.open(model.target);
    }
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  }
  await natives;
  session.addCorpus(Object.keys(app.natives));
  practise?.modelReady(failure);
  if (view() !== "practise") renderView();
  document.body.dataset.ready = failure === null ? "yes" : "no";
  failure ??= await asleep;
  if (failure !== null && document.body.dataset.ready === "yes") practise?.fail(failure);
  document.body.dataset.awake = failure === null ? "yes" : "no";
  void keepOffline(); // the networks are in the browser's cache by now, and come from there
}

void start();
