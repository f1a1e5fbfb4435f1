// What was claimed, what was measured, and what came of it.

import * as api from "../api.js";
import { atMost, fill, h, s } from "../dom.js";
import { number } from "../format.js";
import { onLive, want } from "../live.js";
import { chooseFirst, Chips, empty, runLink, trouble, verdict, verdictRank } from "../parts.js";
import * as list from "../runs.js";
import { state } from "../state.js";

const SIGNS = { "at least": "≥", "at most": "≤", equals: "=", "more than": ">", "less than": "<" };

export function create(root) {
  const chips = new Chips();
  const place = h("div");
  fill(root, h("h1", { class: "unseen" }, "Claims and verdicts"), chips.element, place);
  let request = null;

  async function load() {
    const ids = asked();
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

  /** The selected runs, and the groups that they are part of: a group has the claims of its seeds. */
  function asked() {
    const ids = list.selected().flatMap((run) => (list.runs.has(run.parent) ? [run.id, run.parent] : [run.id]));
    return [...new Set(ids)].slice(0, list.MOST_SELECTED);
  }

  function draw(claims) {
    if (!claims.length) {
      fill(place, empty("No claims were measured", h("p", {}, "A group of seeds judges the claims of its experiment when all of them are done: ", h("code", {}, "groundup run NAME"), " or ", h("code", {}, "groundup verify"), ".")));
      return;
    }
    const counts = new Map();
    for (const claim of claims) counts.set(claim.verdict, (counts.get(claim.verdict) ?? 0) + 1);
    const several = new Set(claims.map((claim) => claim.run)).size > 1;
    const heads = ["Claim", "Verdict", "Claimed", "Measured", "95 % interval", "Seeds", several ? "Run" : null].filter(Boolean);
    fill(
      place,
      h("p", { class: "claim-counts" }, [...counts].sort(([a], [b]) => verdictRank(a) - verdictRank(b)).map(([words, amount]) => h("span", { class: "nowrap" }, verdict(words), " ", h("b", {}, amount)))),
      h(
        "div",
        { class: "card scroll", tabindex: "0", role: "region", "aria-label": "Claims" },
        h(
          "table",
          { class: "claims", role: "table" }, // the roles stay where a narrow screen draws rows as lists
          h("caption", { class: "unseen" }, "Claims beside what was measured: the median over the seeds, and the interval"),
          h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col", class: ["Claimed", "Measured", "Seeds"].includes(head) ? "number" : "" }, head)))),
          h("tbody", {}, claims.map((claim) => row(claim, several))),
        ),
      ),
      h("p", { class: "claim-key quiet" }, key("interval-dot", "a seed"), key("interval-middle", "median over the seeds"), key("interval-bar", "95 % interval"), key("interval-claim", "claimed figure")),
    );
  }

  /** A mark of the drawings with its meaning. */
  function key(kind, words) {
    const marks = {
      "interval-dot": ["circle", { cx: 9, cy: 7, r: 2 }],
      "interval-middle": ["circle", { cx: 9, cy: 7, r: 3.6 }],
      "interval-bar": ["rect", { x: 1, y: 4, width: 16, height: 6, rx: 2 }],
      "interval-claim": ["line", { x1: 9, x2: 9, y1: 0, y2: 14 }],
    };
    const [tag, place] = marks[kind];
    return h("span", { class: "nowrap" }, s("svg", { viewBox: "0 0 18 14", width: 18, height: 14, "aria-hidden": "true" }, s(tag, { ...place, class: kind })), " ", words);
  }

  function row(claim, several) {
    const values = claim.measured.map(([, value]) => value).filter((value) => value !== null);
    const middle = median(values);
    const unit = claim.unit;
    const run = list.runs.get(claim.run);
    const sign = SIGNS[claim.comparison] ?? claim.comparison;
    return h(
      "tr",
      { role: "row" },
      h("th", { scope: "row", role: "rowheader", class: "claim-text" }, claim.text, claim.source ? h("div", { class: "quiet" }, claim.source) : null),
      cell("Verdict", "", verdict(claim.verdict)),
      cell("Claimed", "number nowrap", claim.claimed === null ? "–" : `${sign} ${number(claim.claimed, 4)}${unit}`),
      cell("Measured", "number nowrap", middle === null ? "–" : `${number(middle, 4)}${unit}`),
      cell("Interval", "nowrap", interval(claim, values, middle)),
      h("td", { role: "cell", class: "number", dataset: { head: "Seeds" }, title: claim.measured.map(([seed]) => seed).join(", ") }, claim.seeds || "–"),
      several ? cell("Run", "nowrap", run ? runLink(run) : claim.run) : null,
    );
  }

  /** A cell that carries its heading, for screens where a row is drawn as a list. */
  function cell(head, kind, ...content) {
    return h("td", { role: "cell", class: kind, dataset: { head } }, ...content);
  }

  /** The measured values as dots, their interval as a bar, the claimed figure as an upright line. */
  function interval(claim, values, middle) {
    if (middle === null) return "–";
    const { low, high, claimed } = claim;
    const all = [...values, low, high, claimed].filter((value) => value !== null);
    let [least, most] = [Math.min(...all), Math.max(...all)];
    if (least === most) [least, most] = [least - 1, most + 1];
    const x = (value) => 8 + (104 * (value - least)) / (most - least);
    const words = low === null || high === null || low === high ? "" : `${number(low, 4)} to ${number(high, 4)}${claim.unit}`;
    const drawing = s(
      "svg",
      { class: "interval", viewBox: "0 0 120 22", role: "img", "aria-label": words || number(middle, 4) },
      s("line", { x1: 4, x2: 116, y1: 11, y2: 11, class: "interval-axis" }),
      words ? s("rect", { x: x(low), y: 8, width: Math.max(1, x(high) - x(low)), height: 6, rx: 2, class: "interval-bar" }) : null,
      values.slice(0, 30).map((value) => s("circle", { cx: x(value), cy: 11, r: 2, class: "interval-dot" })),
      s("circle", { cx: x(middle), cy: 11, r: 3.6, class: "interval-middle" }),
      claimed !== null ? s("line", { x1: x(claimed), x2: x(claimed), y1: 1, y2: 21, class: "interval-claim" }) : null,
    );
    return h("div", {}, drawing, h("div", { class: "quiet interval-words" }, words));
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
      if (asked().some((id) => ids.has(id))) soon();
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

function median(values) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
