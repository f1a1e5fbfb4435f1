// The curves of the selected runs, one chart a metric.

import { fill, h } from "../dom.js";
import { Chips, chooseFirst, empty } from "../parts.js";
import * as list from "../runs.js";
import { state } from "../state.js";
import { ChartTools } from "../toolbar.js";
import { ChartGrid } from "./grid.js";

/** What stands before the last slash, or what a name begins with. */
export function section(name) {
  const slash = name.lastIndexOf("/");
  if (slash > 0) return name.slice(0, slash);
  if (/^(validation|val|test|eval)_/.test(name)) return name.startsWith("test") ? "test" : "validation";
  return "training";
}

/** Training before validation before what has a prefix; losses first, the learning rate last. */
export function rank(name) {
  const sections = ["training", "validation", "test"];
  const place = sections.indexOf(section(name));
  const within = /^(validation_|val_|test_)?loss$/.test(name) ? 0 : /loss$/.test(name) ? 1 : /(^|[_/])(lr|learning_rate)$/.test(name) ? 3 : 2;
  return 4 * (place < 0 ? sections.length : place) + within;
}

export function create(root) {
  const tools = new ChartTools({ filter: true });
  const chips = new Chips();
  const charts = h("div", { class: "grid" });
  const none = h("div");
  fill(root, h("h1", { class: "unseen" }, "Curves"), tools.element, chips.element, none, charts);
  const grid = new ChartGrid(charts, (run) => Object.keys(run.metrics), section, rank);

  function update() {
    tools.update();
    chips.update();
    grid.filter = state.metric;
    const amount = grid.refresh();
    if (!list.drawn().length) fill(none, chooseFirst("their curves"));
    else if (!amount && state.metric) fill(none, empty("No metric of that name", h("p", {}, `Nothing that was logged has “${state.metric}” in its name.`)));
    else if (!amount) fill(none, empty("Nothing logged yet", h("p", {}, "Curves appear with the first step.")));
    else fill(none);
  }

  update();
  return { update, runsChanged: update, repaint: () => (chips.update(), grid.repaint()), destroy: () => grid.destroy() };
}
