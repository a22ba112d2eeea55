/** A card to share: a picture made on this device, with the sentence, the place among natives and the date. */

import type { Grade } from "../engine/engine";
import type { Take } from "../store/takes";
import { LOCALES } from "../text/sentences";
import { typeset } from "../text/texts";
import type { App } from "./app";
import { colour, h, save } from "./dom";
import { icon } from "./icons";

const WIDTH = 1200;
const HEIGHT = 630;
const EDGE = 88;
const LINES = 4; // of the sentence: what there is room for
const SERIF = "Newsreader, serif";
const SANS = "Inter, sans-serif";

export async function showCard(app: App, take: Take): Promise<void> {
  const { say } = app;
  const { grade } = take.result;
  if (!grade || !app.model) return;
  await Promise.all([document.fonts.load(`56px ${SERIF}`), document.fonts.load(`600 28px ${SANS}`)]);
  const canvas = h("canvas", {
    width: WIDTH,
    height: HEIGHT,
    role: "img",
    "aria-label": say.cardAlt(say.verdict[grade.verdict]),
  });
  draw(canvas, app, take, grade);
  const blob = await new Promise<Blob>((resolve) => canvas.toBlob((made) => resolve(made!), "image/png"));
  const file = new File([blob], "accent.png", { type: "image/png" });
  const dialog = h(
    "dialog",
    { class: "card-dialog", "aria-labelledby": "card-title" },
    h("h2", { id: "card-title" }, say.cardTitle),
    h("p", { class: "small" }, say.cardText),
    canvas,
    h(
      "div",
      { class: "actions" },
      h(
        "button",
        { type: "button", class: "soft filled", onclick: () => save(blob, "accent.png") },
        icon("download"),
        say.download,
      ),
      navigator.canShare?.({ files: [file] }) &&
        h(
          "button",
          { type: "button", class: "soft", onclick: () => void navigator.share({ files: [file] }).catch(() => {}) },
          say.share,
        ),
      h("button", { type: "button", class: "soft", onclick: () => dialog.close() }, say.close),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function draw(canvas: HTMLCanvasElement, app: App, take: Take, grade: Grade): void {
  const { say, numbers } = app;
  const context = canvas.getContext("2d")!;
  context.fillStyle = colour("paper");
  context.fillRect(0, 0, WIDTH, HEIGHT);
  context.fillStyle = colour("accent");
  context.fillRect(0, 0, 16, HEIGHT);

  context.fillStyle = colour("ink");
  const text = typeset(take.text ?? say.ownText, LOCALES[take.target] ?? "");
  const size = text.length > 60 ? 46 : 60;
  context.font = `${size}px ${SERIF}`;
  let y = EDGE + size * 0.8;
  const lines = wrapped(context, text, WIDTH - 2 * EDGE);
  if (lines.length > LINES) lines.splice(LINES - 1, Infinity, `${lines[LINES - 1]} …`);
  for (const line of lines) {
    context.fillText(line, EDGE, y, WIDTH - 2 * EDGE);
    y += size * 1.2;
  }
  context.font = `600 32px ${SANS}`;
  context.fillStyle = colour(grade.verdict === "within" ? "accent" : "ink");
  context.fillText(say.verdict[grade.verdict], EDGE, 378);
  context.font = `26px ${SANS}`;
  context.fillStyle = colour("soft");
  context.fillText(say.place(grade.percentile), EDGE, 418);

  const { natives } = grade;
  const ends = [...natives.values, grade.value];
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const x = (value: number) => EDGE + ((value - low) / (high - low || 1)) * (WIDTH - 2 * EDGE);
  context.fillStyle = colour("mark");
  context.beginPath();
  context.roundRect(x(natives.low), 456, x(natives.high) - x(natives.low), 56, 14);
  context.fill();
  context.fillStyle = colour("faint");
  for (const value of natives.values) dot(context, x(value), 484, 6);
  context.fillStyle = colour(grade.verdict === "within" ? "accent" : "warm");
  dot(context, x(grade.value), 484, 17);

  context.font = `24px ${SANS}`;
  context.fillStyle = colour("soft");
  context.fillText(say.cardFoot(say.name[take.target] ?? take.target), EDGE, HEIGHT - 52);
  context.textAlign = "right";
  context.fillText(numbers.date(take.time), WIDTH - EDGE, HEIGHT - 52);
}

function dot(context: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function wrapped(context: CanvasRenderingContext2D, text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (context.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
