// What was claimed, what was measured, and what came of it.

import * as api from "../api.js";
import { atMost, fill, h, s } from "../dom.js";
import { number } from "../format.js";
import { onLive, want } from "../live.js";
import { chooseFirst, Chips, empty, runLink, trouble, verdict } from "../parts.js";
import * as list from "../runs.js";
import { state } from "../state.js";

const SIGNS = { "at least": "≥", "at most": "≤", equals: "=", "more than": ">", "less than": "<" };

export function create(root) {
  const chips = new Chips();
  const place = h("div");
  fill(root, h("h1", { class: "unseen" }, "Claims and verdicts"), chips.element, place);
  let request = null;

  async function load() {
    const ids = list.selected().map((run) => run.id);
    if (!ids.length) {
      fill(place, chooseFirst("their claims and verdicts"));
      return;
    }
    request?.abort();
    request = new AbortController();
    try {
      const { claims } = await api.claims(ids, request.signal);
      draw(claims);
    } catch (error) {
      if (!api.isAbort(error)) fill(place, trouble(error.message, load));
    }
  }

  const soon = atMost(1500, load);

  function draw(claims) {
    if (!claims.length) {
      fill(place, empty("No claims were measured", h("p", {}, "An experiment logs its claims at its end; groundup verify measures them over several seeds.")));
      return;
    }
    const counts = new Map();
    for (const claim of claims) counts.set(claim.verdict, (counts.get(claim.verdict) ?? 0) + 1);
    const several = new Set(claims.map((claim) => claim.run)).size > 1;
    const heads = ["Claim", "Verdict", "Claimed", "Measured", "Interval", "Seeds", several ? "Run" : null].filter(Boolean);
    fill(
      place,
      h("p", { class: "claim-counts" }, [...counts].map(([words, amount]) => h("span", { class: "nowrap" }, verdict(words), " ", h("b", {}, amount)))),
      h(
        "div",
        { class: "card scroll", tabindex: "0", role: "region", "aria-label": "Claims" },
        h(
          "table",
          { class: "claims" },
          h("caption", { class: "unseen" }, "Claims beside what was measured"),
          h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col", class: ["Claimed", "Measured", "Seeds"].includes(head) ? "number" : "" }, head)))),
          h("tbody", {}, claims.map((claim) => row(claim, several))),
        ),
      ),
    );
  }

  function row(claim, several) {
    const values = claim.measured.map(([, value]) => value).filter((value) => value !== null);
    const mean = values.length ? values.reduce((a, b) => a + b, 0) / values.length : null;
    const unit = claim.unit;
    const run = list.runs.get(claim.run);
    const sign = SIGNS[claim.comparison] ?? claim.comparison;
    return h(
      "tr",
      {},
      h("th", { scope: "row", class: "claim-text" }, claim.text, claim.source ? h("div", { class: "quiet" }, claim.source) : null),
      h("td", {}, verdict(claim.verdict)),
      h("td", { class: "number nowrap" }, claim.claimed === null ? "–" : `${sign} ${number(claim.claimed)}${unit}`),
      h("td", { class: "number nowrap" }, mean === null ? "–" : `${number(mean)}${unit}`),
      h("td", { class: "nowrap" }, interval(claim, values, mean)),
      h("td", { class: "number", title: claim.measured.map(([seed]) => seed).join(", ") }, claim.seeds || "–"),
      several ? h("td", { class: "nowrap" }, run ? runLink(run) : claim.run) : null,
    );
  }

  /** The measured values as dots, their interval as a bar, the claimed figure as an upright line. */
  function interval(claim, values, mean) {
    if (mean === null) return "–";
    const { low, high, claimed } = claim;
    const all = [...values, low, high, claimed].filter((value) => value !== null);
    let [least, most] = [Math.min(...all), Math.max(...all)];
    if (least === most) [least, most] = [least - 1, most + 1];
    const x = (value) => 8 + (104 * (value - least)) / (most - least);
    const words = low === null ? "" : `${number(low)} to ${number(high)}${claim.unit}`;
    const drawing = s(
      "svg",
      { class: "interval", viewBox: "0 0 120 22", role: "img", "aria-label": words || number(mean) },
      s("line", { x1: 4, x2: 116, y1: 11, y2: 11, class: "interval-axis" }),
      low !== null && high > low ? s("rect", { x: x(low), y: 8, width: Math.max(1, x(high) - x(low)), height: 6, rx: 2, class: "interval-bar" }) : null,
      values.slice(0, 30).map((value) => s("circle", { cx: x(value), cy: 11, r: 2, class: "interval-dot" })),
      s("circle", { cx: x(mean), cy: 11, r: 3.6, class: "interval-mean" }),
      claimed !== null ? s("line", { x1: x(claimed), x2: x(claimed), y1: 1, y2: 21, class: "interval-claim" }) : null,
    );
    return [drawing, h("div", { class: "quiet interval-words" }, words)];
  }

  function update(keys) {
    chips.update();
    want([], [], state.x);
    if (!keys || keys.has("selected")) load();
  }

  const end = onLive((event) => {
    if (event.kind === "hello" && !event.resumed) load();
  });
  update(null);
  return {
    update,
    runsChanged: (ids) => {
      chips.update();
      if (list.selected().some((run) => ids.has(run.id))) soon();
    },
    repaint: () => {
      chips.update();
      load();
    },
    destroy: () => {
      end();
      request?.abort();
    },
  };
}
