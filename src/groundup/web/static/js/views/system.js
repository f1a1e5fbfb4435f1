// What the runs cost: throughput, processor, memory.

import * as api from "../api.js";
import { fill, h } from "../dom.js";
import { Chips, chooseFirst, empty } from "../parts.js";
import * as list from "../runs.js";
import { ChartTools } from "../toolbar.js";
import { ChartGrid } from "./grid.js";

export function create(root) {
  const tools = new ChartTools({ filter: false });
  const chips = new Chips();
  const charts = h("div", { class: "grid" });
  const none = h("div");
  fill(root, h("h1", { class: "unseen" }, "System load and throughput"), tools.element, chips.element, none, charts);
  const names = new Map();
  const grid = new ChartGrid(charts, (run) => names.get(run.id) ?? [], () => "", (name) => (name.includes("system/") ? 1 : 0));

  /** Which series there are, is not in the summaries. */
  async function learn(ids) {
    await Promise.all(
      ids.map(async (id) => {
        try {
          const { series } = await api.run(id);
          names.set(id, series.filter((one) => one.kind === "system").map((one) => one.name));
        } catch {
          names.delete(id);
        }
      }),
    );
    show();
  }

  function show() {
    chips.update();
    tools.update();
    const amount = grid.refresh();
    const runs = list.drawn();
    const known = runs.every((run) => names.has(run.id));
    if (!runs.length) fill(none, chooseFirst("what they cost"));
    else if (!amount && known) fill(none, empty("No load was logged", h("p", {}, "The training callback Record logs throughput, processor and memory once a second.")));
    else fill(none);
  }

  function update() {
    show();
    const unknown = list.drawn().filter((run) => !names.get(run.id)?.length).map((run) => run.id);
    if (unknown.length) learn(unknown);
  }

  let last = -Infinity;
  function runsChanged(ids) {
    const missing = list.drawn().filter((run) => ids.has(run.id) && !names.get(run.id)?.length);
    if (missing.length && performance.now() - last > 2000) {
      last = performance.now();
      learn(missing.map((run) => run.id));
    }
    show();
  }

  update();
  return { update, runsChanged, repaint: () => (chips.update(), grid.repaint()), destroy: () => grid.destroy() };
}
