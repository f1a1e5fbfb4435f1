// Two or more runs side by side: what differs in their settings, and how they ended.

import { fill, h } from "../dom.js";
import { count, duration, moment, number, plural, setting } from "../format.js";
import { swatch } from "../palette.js";
import { chooseFirst, Chips, empty, status, tags } from "../parts.js";
import * as api from "../api.js";
import * as list from "../runs.js";
import { address, keep, taste } from "../state.js";
import { want } from "../live.js";

export function create(root) {
  const chips = new Chips();
  const only = h("input", { type: "checkbox", checked: taste("differences", true), onchange: () => (keep("differences", only.checked), draw()) });
  const tools = h(
    "div",
    { class: "toolbar" },
    h("label", { class: "check" }, only, "Only what differs"),
    h("span", { class: "quiet" }, "Differences are to the first run; drop and select runs to change the order."),
  );
  const place = h("div");
  fill(root, h("h1", { class: "unseen" }, "Compare runs"), tools, chips.element, place);
  const environments = new Map();
  let drawn = "";

  async function learn(runs) {
    const missing = runs.filter((run) => !environments.has(run.id));
    if (!missing.length) return;
    missing.forEach((run) => environments.set(run.id, {}));
    await Promise.all(
      missing.map(async (run) => {
        try {
          environments.set(run.id, (await api.run(run.id)).environment);
        } catch {
          environments.delete(run.id);
        }
      }),
    );
    draw();
  }

  function draw() {
    chips.update();
    want([], [], "step");
    const runs = list.selected();
    tools.hidden = runs.length < 2;
    const key = JSON.stringify([runs, runs.map(list.newest), only.checked, [...environments.keys()].filter((id) => Object.keys(environments.get(id)).length)]);
    if (key === drawn) return;
    drawn = key;
    if (!runs.length) return fill(place, chooseFirst("how they differ"));
    if (runs.length < 2) return fill(place, empty("One run is selected", h("p", {}, "Select another one to compare it with."), h("p", {}, h("a", { class: "button", href: address({ view: "runs" }) }, "All runs"))));
    learn(runs);
    const facts = ["status", "experiment", "seed", "created", "duration", "step", "host", "tags", "note"];
    const surroundings = [...new Set(runs.flatMap((run) => Object.keys(environments.get(run.id) ?? {})))].filter((name) => name !== "seed");
    const scrolled = place.querySelector(".scroll")?.scrollLeft ?? 0;
    const frame = h(
      "div",
      { class: "card scroll", tabindex: "0", role: "region", "aria-label": "Comparison" },
      h(
        "table",
        { class: "compare" },
        h("caption", { class: "unseen" }, "Settings, newest values, facts and environment of the selected runs, a column each"),
        h("thead", {}, h("tr", {}, h("td", {}), runs.map(head))),
        section("Settings", runs, list.settingNames(runs), (run, name) => run.config[name], setting),
        metrics(runs),
        section("Facts", runs, facts, (run, name) => (name === "duration" ? run.seconds : run[name]), fact),
        section("Environment", runs, surroundings, (run, name) => environments.get(run.id)?.[name], setting),
      ),
    );
    fill(place, frame);
    frame.scrollLeft = scrolled;
    return place;
  }

  function head(run) {
    const [name, rest] = list.nameParts(run);
    return h("th", { scope: "col" }, swatch(list.slot(run.id)), h("a", { href: address({ view: "run", run: run.id }), title: run.id }, name, h("br"), h("code", {}, rest)), list.isGroup(run) ? h("div", { class: "quiet" }, `group of ${plural(list.parts(run.id).length, "run")}`) : null);
  }

  function fact(value, name, run) {
    const words = { status: () => status(run), created: () => moment(value), duration: () => duration(value), step: () => count(value), tags: () => tags(run) };
    return words[name]?.() ?? (value === null || value === "" ? "–" : String(value));
  }

  function title(text, about, runs) {
    return h("tr", { class: "part" }, h("th", { scope: "colgroup", colspan: String(runs.length + 1) }, h("span", {}, h("b", {}, text), h("span", { class: "quiet" }, about))));
  }

  function section(text, runs, names, value, words) {
    const different = new Set(names.filter((name) => new Set(runs.map((run) => JSON.stringify(value(run, name) ?? null))).size > 1));
    if (!names.length) return null;
    return h(
      "tbody",
      {},
      title(text, `${different.size} differ, ${names.length - different.size} the same`, runs),
      names
        .filter((name) => !only.checked || different.has(name))
        .map((name) =>
          h(
            "tr",
            { class: !only.checked && different.has(name) ? "differs" : null },
            h("th", { scope: "row", class: "mono" }, name),
            runs.map((run) => h("td", {}, words(value(run, name), name, run))),
          ),
        ),
    );
  }

  function metrics(runs) {
    const names = list.metricNames(runs);
    if (!names.length) return null;
    const groups = runs.some(list.isGroup) ? "; of a group the means over its runs" : "";
    return h(
      "tbody",
      {},
      title("Newest values", `▲ greatest, ▼ least; below: difference to the first${groups}`, runs),
      names.map((name) => h("tr", {}, h("th", { scope: "row", class: "mono" }, name), runs.map((run) => metric(runs, run, name)))),
    );
  }

  function metric(runs, run, name) {
    const value = list.newest(run)[name];
    if (value === undefined) return h("td", { class: "quiet" }, "–");
    const values = runs.map((one) => list.newest(one)[name]).filter((one) => typeof one === "number");
    const [least, greatest] = [Math.min(...values), Math.max(...values)];
    const mark = values.length < 2 || least === greatest ? null : value === greatest ? ["▲", "the greatest"] : value === least ? ["▼", "the least"] : null;
    const base = list.newest(runs[0])[name];
    const difference = run !== runs[0] && typeof base === "number" && typeof value === "number" ? value - base : null;
    return h(
      "td",
      {},
      value === null ? "NaN" : number(value),
      mark ? h("span", { class: "extreme", title: mark[1] }, ` ${mark[0]}`) : null,
      difference === null ? null : h("div", { class: "quiet" }, `${difference > 0 ? "+" : ""}${number(difference, 3)}`),
    );
  }

  draw();
  return { update: draw, runsChanged: draw, repaint: () => ((drawn = ""), draw()), destroy() {} };
}
