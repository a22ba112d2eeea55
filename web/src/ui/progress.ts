/** Practice over time: a line a sentence, every take to be heard again, and all of it to take away or delete. */

import { ArchiveError, exportTakes, importTakes } from "../store/archive";
import { type Line, lines } from "../store/practice";
import type { Take } from "../store/takes";
import { LOCALES } from "../text/sentences";
import { typeset } from "../text/texts";
import type { App } from "./app";
import { h, save, svg } from "./dom";
import { icon } from "./icons";

export interface ProgressActions {
  open(take: Take): void;
  practise(line: Line): void;
}

export function renderProgress(app: App, actions: ProgressActions): HTMLElement {
  const { say, takes } = app;
  const bytes = takes.reduce((sum, take) => sum + take.recording.size, 0);
  const file = h("input", {
    type: "file",
    accept: ".zip,application/zip",
    class: "hidden",
    id: "import",
    tabindex: -1,
    "aria-hidden": "true",
    onchange: async () => {
      const [chosen] = file.files ?? [];
      file.value = ""; // so that the same file can be chosen again
      if (!chosen) return;
      const text = await importFile(app, chosen);
      document.getElementById("import-notice")!.textContent = text; // of the view that shows the takes of now
    },
  });
  return h(
    "div",
    { class: "progress" },
    h("h1", {}, say.progressTitle),
    h("p", { class: "lead" }, takes.length ? say.kept(takes.length, app.numbers.bytes(bytes)) : say.noTakes),
    h(
      "div",
      { class: "actions" },
      takes.length > 0 &&
        h(
          "button",
          {
            type: "button",
            class: "soft",
            id: "export",
            onclick: async () => save(await exportTakes(app.takes), "accent.zip"),
          },
          icon("download"),
          say.export,
        ),
      h("button", { type: "button", class: "soft", onclick: () => file.click() }, icon("file"), say.import),
      file,
      takes.length > 0 &&
        h(
          "button",
          { type: "button", class: "soft danger", id: "delete-all", onclick: () => confirmDelete(app) },
          icon("bin"),
          say.deleteAll,
        ),
    ),
    h("p", { class: "notice", role: "status", id: "import-notice" }),
    h("ol", { class: "lines" }, ...lines(takes).map((line) => renderLine(app, line, actions))),
  );
}

/** Add the takes of a zip that are not here yet, all or none; what there is to say of it. */
async function importFile(app: App, file: File): Promise<string> {
  const { say } = app;
  try {
    const found = await importTakes(file);
    const here = new Set(app.takes.map((take) => take.id));
    const fresh = found.filter((take) => !here.has(take.id));
    await app.store.add(...fresh);
    await app.refreshTakes();
    return say.imported(fresh.length, found.length - fresh.length);
  } catch (error) {
    return error instanceof ArchiveError ? say.importFailed(file.name) : say.importNotKept;
  }
}

function renderLine(app: App, line: Line, actions: ProgressActions): HTMLElement {
  const { say } = app;
  const locale = LOCALES[line.target] ?? "";
  const title =
    line.text !== null
      ? h("span", { lang: locale }, typeset(line.text, locale))
      : h("span", {}, line.takes[0].fileName ? say.openedFile(line.takes[0].fileName) : say.ownText);
  return h(
    "li",
    { class: "line" },
    h("h2", {}, title),
    chart(app, line),
    h(
      "details",
      { class: "details" },
      h("summary", {}, icon("chevron"), say.takesCount(line.takes.length)),
      h("ul", { class: "takes" }, ...[...line.takes].reverse().map((take) => renderTake(app, take, actions))),
      line.text !== null &&
        h(
          "button",
          { type: "button", class: "soft", onclick: () => actions.practise(line) },
          icon("microphone"),
          say.practiseThis,
        ),
    ),
  );
}

function renderTake(app: App, take: Take, actions: ProgressActions): HTMLElement {
  const { say, numbers } = app;
  const { grade } = take.result;
  const when = numbers.moment(take.time);
  const play = () => {
    const url = URL.createObjectURL(take.recording);
    void app.player.play(url).then(() => URL.revokeObjectURL(url));
  };
  return h(
    "li",
    {},
    h("button", { type: "button", class: "round", "aria-label": `${say.play}, ${when}`, onclick: play }, icon("play")),
    h(
      "button",
      {
        type: "button",
        class: "take-name",
        onclick: () => actions.open(take),
        "aria-label": `${say.openTake}, ${when}`,
      },
      h("span", { class: "when" }, when),
      h(
        "span",
        { class: `what ${grade?.verdict ?? "refused"}` },
        grade ? say.verdict[grade.verdict] : say.verdict.refused,
      ),
    ),
    h(
      "button",
      {
        type: "button",
        class: "round",
        "aria-label": `${say.deleteTake}, ${when}`,
        onclick: async () => {
          await app.store.remove(take.id);
          await app.refreshTakes();
        },
      },
      icon("bin"),
    ),
  );
}

const WIDTH = 320;
const HEIGHT = 72;

/** A sentence's grades from first to last, over the natives' range. */
function chart(app: App, line: Line): SVGElement | null {
  const { say, numbers } = app;
  const graded = line.takes.filter((take) => take.result.grade);
  if (!graded.length) return null;
  const grades = graded.map((take) => take.result.grade!);
  const { natives } = grades.at(-1)!;
  const values = grades.map((grade) => grade.value);
  const low = Math.min(...values, natives.low);
  const high = Math.max(...values, natives.high);
  const y = (value: number) => 10 + (1 - (value - low) / (high - low || 1)) * (HEIGHT - 20);
  const x = (i: number) => 16 + (values.length === 1 ? 0 : (i / (values.length - 1)) * (WIDTH - 96)); // room for a word
  const best = grades.reduce((a, b) => (b.value > a.value ? b : a));
  const label = say.chartLabel(values.length, say.place(best.percentile));
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": label },
    svg("rect", {
      x: 0,
      width: WIDTH,
      y: y(natives.high),
      height: y(natives.low) - y(natives.high),
      rx: 6,
      class: "range",
    }),
    svg("text", { x: WIDTH - 8, y: y(natives.high) + 14, "text-anchor": "end", class: "label" }, say.stripNatives),
    values.length > 1 &&
      svg("polyline", { points: values.map((value, i) => `${x(i)},${y(value)}`).join(" "), class: "path" }),
    ...grades.map((grade, i) =>
      svg(
        "circle",
        { cx: x(i), cy: y(grade.value), r: 4.5, class: `take ${grade.verdict}` },
        svg("title", {}, `${numbers.date(graded[i].time)}: ${say.verdict[grade.verdict]}`),
      ),
    ),
  );
}

function confirmDelete(app: App): void {
  const { say } = app;
  const dialog = h(
    "dialog",
    { "aria-labelledby": "delete-question" },
    h("p", { id: "delete-question" }, say.deleteQuestion),
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", class: "soft", autofocus: true, onclick: () => dialog.close() }, say.cancel),
      h(
        "button",
        {
          type: "button",
          class: "soft danger",
          id: "delete-yes",
          onclick: async () => {
            await app.store.clear();
            dialog.close();
            await app.refreshTakes();
          },
        },
        say.deleteYes,
      ),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
