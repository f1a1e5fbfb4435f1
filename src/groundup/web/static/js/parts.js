// Pieces that several views show in the same way: status, tags, verdicts, empty places.

import { fill, h, icon } from "./dom.js";
import { swatch } from "./palette.js";
import * as list from "./runs.js";
import { address } from "./state.js";

const STATUSES = {
  queued: "waiting to be started",
  running: "running",
  done: "done",
  failed: "failed with an error",
  stopped: "stopped by hand",
  lost: "lost: its process ended without a word",
};

/** Icon and word; the colour is never alone. */
export function status(run) {
  const known = STATUSES[run.status] ? run.status : "open";
  return h("span", { class: `status status-${run.status}`, title: STATUSES[run.status] ?? run.status }, icon(known), h("span", {}, run.status));
}

/** The tags of a run. */
export function tags(run) {
  return h("span", { class: "tags" }, run.tags.map((tag) => h("span", { class: "tag", title: tag }, tag)));
}

const VERDICTS = [
  [/^holds in part|partly/i, "part", "part", "The direction is confirmed, the figure is not"],
  [/^hold/i, "holds", "done", "Confirmed by a test at 5 %, corrected for the number of claims"],
  [/^refut/i, "refuted", "failed", "Excluded by a test at 5 %, corrected for the number of claims"],
  [/^undecided/i, "undecided", "undecided", "These seeds neither confirm nor exclude it; more would decide"],
  [/^not measured/i, "open", "open", "There is no value to judge by"],
];

/** What came of a claim. */
export function verdict(words) {
  const [, kind, sign, about] = VERDICTS.find(([pattern]) => pattern.test(words)) ?? [null, "open", "open", null];
  return h("span", { class: `badge verdict-${kind}`, title: about }, icon(sign), words);
}

/** Where a verdict stands in a list: what is certain before what is not. */
export function verdictRank(words) {
  const place = VERDICTS.findIndex(([pattern]) => pattern.test(words));
  return place < 0 ? VERDICTS.length : [1, 0, 2, 3, 4][place];
}

/** A run's name as a link to everything about it. */
export function runLink(run, withSwatch = true) {
  const marked = withSwatch && list.drawn().includes(run) ? swatch(list.slot(run.id)) : null;
  return h("a", { href: address({ view: "run", run: run.id }), title: run.id, class: "run-link" }, marked, h("span", {}, list.shortName(run)));
}

/** A place where there is nothing, and what to do about it. */
export function empty(title, ...content) {
  return h("div", { class: "empty" }, h("h2", {}, title), content);
}

/** The same where runs have to be chosen first. */
export function chooseFirst(what) {
  return empty(
    `Choose runs to see ${what}`,
    h("p", {}, "Tick them in the list at the side, or in the table of all runs."),
    h("p", {}, h("a", { class: "button", href: address({ view: "runs" }) }, "All runs")),
  );
}

/** Something went wrong: what, and that it is tried again. */
export function trouble(words, again) {
  return h(
    "div",
    { class: "empty", role: "alert" },
    h("h2", {}, "This could not be read"),
    h("p", {}, words),
    h("p", {}, h("button", { type: "button", class: "primary", onclick: again }, "Try again")),
  );
}

/** The selected runs as chips, for screens without room for the list. */
export class Chips {
  constructor() {
    this.element = h("ul", { class: "chips", "aria-label": "Selected runs" });
  }

  update() {
    fill(
      this.element,
      list.drawn().map((run) =>
        h(
          "li",
          {},
          swatch(list.slot(run.id)),
          h("span", { title: run.id }, [list.nameParts(run)[1] || run.id, list.distinction(run, 1)].flat().join(" · ")),
          h("button", { type: "button", "aria-label": `Drop ${list.shortName(run)}`, onclick: () => list.drop(run.id) }, "×"),
        ),
      ),
    );
  }
}
