"use strict";

const NO_REASON = "wrong label?";
const list = document.getElementById("cards");
const cards = [...list.children]; // in the order in which the page lists them
const form = document.getElementById("filters");
const copy = document.getElementById("copy");
const download = document.getElementById("download");
const limits = [...form.querySelectorAll("input[type=number]")];

// --- filter and sort

function within(card) {
  return limits.every((input) => {
    if (input.value === "") return true;
    const [, measure, end] = input.name.match(/^(.*)_(min|max)$/);
    const value = Number(card.dataset[measure]);
    return end === "min" ? value >= Number(input.value) : value <= Number(input.value);
  });
}

function show() {
  const { label, split, outcome, sort, direction } = Object.fromEntries(new FormData(form));
  let shown = 0;
  for (const card of cards) {
    card.hidden = !(
      (!label || card.dataset.label === label) &&
      (!split || card.dataset.split === split) &&
      (!outcome || card.dataset.outcome.split(" ").includes(outcome)) &&
      within(card)
    );
    if (card.hidden) card.querySelector("audio").pause();
    else shown += 1;
  }
  document.getElementById("shown").value = `${shown} of ${cards.length} clips`;
  const order = [...cards];
  if (sort) order.sort((a, b) => direction * (a.dataset[sort] - b.dataset[sort]));
  list.append(...order);
}

form.addEventListener("input", show);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(show)); // after the fields have their first values again

// --- the list of clips to cull

function quoted(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function ticked() {
  return cards.filter((card) => card.querySelector("input[type=checkbox]").checked);
}

function exclusions() {
  const rows = ticked().map((card) => [card.dataset.clip, card.querySelector("input[type=text]").value.trim() || NO_REASON]);
  rows.sort(([a], [b]) => (a < b ? -1 : 1));
  return [["clip_id", "reason"], ...rows].map((row) => row.map(quoted).join(",") + "\n").join("");
}

function count() {
  const number = ticked().length;
  const text = number === 0 ? "No clip ticked" : number === 1 ? "1 clip ticked" : `${number} clips ticked`;
  document.getElementById("ticked").value = text;
  copy.disabled = download.disabled = number === 0;
}

// Ticks and their reasons outlive a reload. Those of clips that another report lists are left as they are.
const KEPT = "accent-report-ticks";

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    return {}; // a browser that stores nothing
  }
}

function keep() {
  const all = kept();
  for (const card of cards) delete all[card.dataset.clip];
  for (const card of ticked()) all[card.dataset.clip] = card.querySelector("input[type=text]").value;
  try {
    localStorage.setItem(KEPT, JSON.stringify(all));
  } catch {
    // as above
  }
}

for (const card of cards) {
  const reason = kept()[card.dataset.clip];
  if (typeof reason !== "string") continue;
  card.querySelector("input[type=checkbox]").checked = true;
  card.querySelector("input[type=text]").value = reason;
}
count();

list.addEventListener("change", () => {
  count();
  keep();
});

copy.addEventListener("click", async () => {
  const text = exclusions();
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // not every browser lets a file's page write to the clipboard in that way
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    copy.focus();
  }
  document.getElementById("ticked").value = "Copied";
  setTimeout(count, 2000);
});

download.addEventListener("click", () => {
  const address = URL.createObjectURL(new Blob([exclusions()], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = "exclusions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
});

// --- listen: one recording at a time, with a line where it is; a click into the picture goes there

const BOX_LEFT = parseFloat(getComputedStyle(list).getPropertyValue("--box-left"));
const BOX_WIDTH = parseFloat(getComputedStyle(list).getPropertyValue("--box-width"));

function follow(audio) {
  const { start, end } = audio.parentElement.dataset;
  const line = audio.parentElement.querySelector(".playhead");
  const share = (audio.currentTime - start) / (end - start);
  line.hidden = share < 0 || share > 1;
  line.style.left = `${100 * (BOX_LEFT + BOX_WIDTH * share)}%`;
  if (!audio.paused) requestAnimationFrame(() => follow(audio));
}

list.addEventListener(
  "play",
  (event) => {
    for (const audio of list.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
    follow(event.target);
  },
  true, // media events do not bubble
);
list.addEventListener("seeked", (event) => follow(event.target), true);

list.addEventListener("click", (event) => {
  const picture = event.target.closest(".picture");
  if (!picture) return;
  const audio = picture.parentElement.querySelector("audio");
  const { start, end } = picture.parentElement.dataset;
  const { left, width } = picture.getBoundingClientRect();
  const share = ((event.clientX - left) / width - BOX_LEFT) / BOX_WIDTH;
  const go = () => (audio.currentTime = Number(start) + Math.min(Math.max(share, 0), 1) * (end - start));
  if (audio.readyState) go();
  else audio.addEventListener("loadedmetadata", go, { once: true });
  audio.play();
});
