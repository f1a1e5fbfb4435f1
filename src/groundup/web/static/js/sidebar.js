// The list of runs beside the charts: find, tick, see which line is whose.

import { afterPause, fill, h, icon } from "./dom.js";
import { swatch } from "./palette.js";
import { status } from "./parts.js";
import * as list from "./runs.js";
import { address, state, update } from "./state.js";
import { plural } from "./format.js";

const MOST = 300;

export class Sidebar {
  constructor(element) {
    this.search = h("input", {
      type: "search",
      id: "side-search",
      placeholder: "Find runs: name, tag, lr=0.01 …",
      "aria-label": "Find runs by name, tag, note or setting",
      maxlength: "200",
      oninput: afterPause(120, () => update({ text: this.search.value })),
    });
    this.amount = h("span", { class: "quiet" });
    this.clear = h("button", { type: "button", onclick: () => update({ selected: [] }) }, "Clear");
    this.list = h("ul", { class: "side-list", "aria-label": "Runs" });
    this.list.addEventListener("mouseover", (event) => this.point(event.target.closest("li")?.dataset.run ?? null));
    this.list.addEventListener("mouseleave", () => this.point(null));
    this.list.addEventListener("focusin", (event) => this.point(event.target.closest("li")?.dataset.run ?? null));
    this.list.addEventListener("focusout", () => this.point(null));
    fill(element, h("div", { class: "side-head" }, this.search, h("div", { class: "side-line" }, this.amount, this.clear)), this.list);
    this.items = new Map();
    this.pinned = new Set();
    this.place = "";
  }

  /** Let the charts show which line belongs to a run. */
  point(id) {
    const chosen = id !== null && list.drawn().some((run) => run.id === id) ? id : null;
    document.dispatchEvent(new CustomEvent("focusrun", { detail: chosen }));
  }

  update() {
    if (document.activeElement !== this.search) this.search.value = state.text;
    const drawn = new Set(list.drawn().map((run) => run.id));
    const chosen = new Set([...state.selected, ...drawn]);
    const visible = list.visible();
    const fits = new Set(visible.map((run) => run.id));
    // What was selected before stands first, and what the filter hides too; a tick moves nothing.
    const place = JSON.stringify([state.view, state.text]);
    if (place !== this.place || !this.pinned.size) {
      this.place = place;
      this.pinned = new Set([...state.selected, ...drawn]);
    }
    const marked = [...chosen].map((id) => list.runs.get(id)).filter(Boolean);
    const first = marked.filter((run) => this.pinned.has(run.id) || !fits.has(run.id));
    const taken = new Set(first.map((run) => run.id));
    const shown = [...first, ...visible.filter((run) => !taken.has(run.id))];
    this.amount.textContent = chosen.size ? `${drawn.size} of ${plural(list.runs.size, "run")} shown` : plural(visible.length, "run");
    this.clear.hidden = !chosen.size;
    const focused = document.activeElement?.closest?.("li")?.dataset.run;
    const kind = document.activeElement?.tagName;
    const next = new Map();
    for (const run of shown.slice(0, MOST)) {
      const on = chosen.has(run.id);
      const slot = drawn.has(run.id) ? list.slot(run.id) : null;
      const key = JSON.stringify([run.status, aboutRun(run), on, slot]);
      const before = this.items.get(run.id);
      next.set(run.id, before?.key === key ? before : { key, element: this.item(run, on, slot) });
    }
    this.items = next;
    const more = shown.length - MOST;
    fill(
      this.list,
      [...next.values()].map((item) => item.element),
      more > 0 ? h("li", { class: "quiet" }, `and ${plural(more, "run")} more: narrow the search`) : null,
      !shown.length ? h("li", { class: "quiet" }, list.runs.size ? "No run fits the search." : "No runs yet.") : null,
    );
    if (focused && next.has(focused) && document.activeElement === document.body) {
      next.get(focused).element.querySelector(kind === "A" ? "a" : "input")?.focus();
    }
  }

  /** Colours have changed. */
  repaint() {
    this.items.clear();
    this.update();
  }

  item(run, on, slot) {
    const about = aboutRun(run);
    return h(
      "li",
      { dataset: { run: run.id } },
      h(
        "label",
        { title: run.id },
        h("input", { type: "checkbox", checked: on, onchange: (event) => (event.target.checked ? list.select([run.id], true) : list.drop(run.id)) }),
        h("span", { class: "swatch-place" }, slot === null ? null : swatch(slot)),
        h("span", { class: "side-name" }, h("b", {}, h("span", {}, list.nameParts(run)[0]), h("code", {}, list.nameParts(run)[1])), h("small", { title: about }, about || "\u00a0")),
      ),
      status(run),
      h("a", { class: "open", href: address({ view: "run", run: run.id }), "aria-label": `All about ${list.shortName(run)}`, title: "All about this run" }, icon("right")),
    );
  }
}

function aboutRun(run) {
  if (list.isGroup(run)) return [`group of ${plural(list.parts(run.id).length, "run")}`, ...list.distinction(run), ...run.tags].join(" · ");
  return [...list.distinction(run), run.seed === null ? null : `seed ${run.seed}`, ...run.tags].filter(Boolean).join(" · ");
}
