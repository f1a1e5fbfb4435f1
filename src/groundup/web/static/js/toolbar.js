// Controls above charts: the horizontal axis, logarithms, smoothing, the range.

import { choice, fill, h } from "./dom.js";
import { place } from "./chart.js";
import * as list from "./runs.js";
import { state, update } from "./state.js";

/** Shares of the length of a curve that the slider goes through: none, then 0.1 % to 30 %. */
export const SMOOTHING = [0, ...Array.from({ length: 24 }, (_, i) => Number((0.001 * 300 ** (i / 23)).toPrecision(2)))];

/** The nearest place of the slider. */
export function smoothingPlace(share) {
  let best = 0;
  SMOOTHING.forEach((value, i) => {
    if (Math.abs(value - share) < Math.abs(SMOOTHING[best] - share)) best = i;
  });
  return best;
}

/** Move the slider by some places. */
export function changeSmoothing(by) {
  const next = Math.max(0, Math.min(SMOOTHING.length - 1, smoothingPlace(state.smoothing) + by));
  update({ smoothing: SMOOTHING[next] });
}

const percent = (share) => (share ? `${Number((100 * share).toPrecision(2))} %` : "off");

export class ChartTools {
  constructor({ filter }) {
    this.axis = h("span", { class: "field" });
    this.logX = this.check("logX", "Log x", "Logarithmic horizontal axis");
    this.logY = this.check("logY", "Log y", "Logarithmic values in all charts");
    this.slider = h("input", {
      type: "range",
      id: "smoothing",
      min: "0",
      max: String(SMOOTHING.length - 1),
      step: "1",
      oninput: () => update({ smoothing: SMOOTHING[Number(this.slider.value)] }),
    });
    this.share = h("output", { for: "smoothing" });
    this.reset = h("button", { type: "button", onclick: () => update({ range: null }) }, "Show whole range");
    this.range = h("span", { class: "quiet" });
    this.search = filter
      ? h("input", {
          type: "search",
          placeholder: "Find a metric",
          "aria-label": "Find a metric",
          maxlength: "200",
          oninput: () => update({ metric: this.search.value }),
        })
      : null;
    this.element = h(
      "div",
      { class: "toolbar", role: "group", "aria-label": "How curves are drawn" },
      this.axis,
      this.logX,
      this.logY,
      h(
        "span",
        { class: "field", title: "Exponential moving average; the share of a curve's length after which a value counts a third" },
        h("label", { for: "smoothing" }, "Smoothing"),
        this.slider,
        this.share,
      ),
      h("span", { class: "field" }, this.range, this.reset),
      this.search ? h("div", { class: "grow" }, this.search) : null,
    );
    this.update();
  }

  check(key, text, title) {
    const input = h("input", { type: "checkbox", onchange: () => update(key === "logX" ? { logX: input.checked, range: null } : { [key]: input.checked }) });
    const label = h("label", { class: "check", title }, input, text);
    label.input = input;
    return label;
  }

  update() {
    const epochs = list.drawn().some((run) => run.epoch !== null);
    const options = [
      ["step", "Step"],
      ["time", "Time"],
      ["epoch", "Epoch", !epochs && state.x !== "epoch", epochs ? null : "No selected run has logged epochs"],
    ];
    const key = JSON.stringify([options, state.x]);
    if (key !== this.key) {
      const active = this.axis.contains(document.activeElement);
      fill(this.axis, choice("axis", "Horizontal axis", options, state.x, (x) => update({ x, range: null })));
      if (active) this.axis.querySelector("input:checked")?.focus();
      this.key = key;
    }
    this.logX.input.checked = state.logX;
    this.logY.input.checked = state.logY;
    this.slider.value = smoothingPlace(state.smoothing);
    this.slider.setAttribute("aria-valuetext", percent(state.smoothing));
    this.share.textContent = percent(state.smoothing);
    this.reset.hidden = this.range.hidden = state.range === null;
    if (state.range) this.range.textContent = `${place(state.range[0], state.x)} to ${place(state.range[1], state.x)}`;
    if (this.search && document.activeElement !== this.search) this.search.value = state.metric;
  }
}
