/** How it works, what stays here, and what to distrust. */

import type { App } from "./app";
import { h } from "./dom";

export function renderAbout(app: App): HTMLElement {
  const { say, numbers, model } = app;
  const rests = () => {
    if (!model) return null;
    const { voices, clips, roc_auc: auc, roc_auc_low: low, roc_auc_high: high } = model.evidence;
    const count = Object.values(clips).reduce((sum, of) => sum + of, 0);
    const interval: [string, string] | null =
      low === null || high === null ? null : [numbers.percent(low), numbers.percent(high)];
    return say.evidence(say.voices(voices), count, numbers.percent(auc), interval);
  };
  const evidence = rests();
  return h(
    "article",
    { class: "about" },
    h("h1", {}, say.aboutTitle),
    ...say.about.flatMap(([title, text]) => [h("h2", {}, title), h("p", {}, text)]),
    evidence && h("p", { class: "evidence" }, evidence),
    h("p", { class: "small" }, h("a", { href: "licences.txt" }, say.licences)),
  );
}
