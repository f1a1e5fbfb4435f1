// Gradients and weights of every layer of one run: a strip of colour a layer, light where they are
// large, dark where they vanish, on a logarithmic scale; a click opens the curve of a layer.

import * as api from "../api.js";
import { Chart } from "../chart.js";
import * as curves from "../curves.js";
import { announce, atMost, fill, h } from "../dom.js";
import { count, number } from "../format.js";
import { onLive, want } from "../live.js";
import { SHADES, shade } from "../palette.js";
import { chooseFirst, Chips, empty, trouble } from "../parts.js";
import * as list from "../runs.js";
import { state, update as change } from "../state.js";

const PARTS = 240;

export function create(root) {
  const chips = new Chips();
  const tools = h("div", { class: "toolbar", role: "group", "aria-label": "What is shown" });
  const place = h("div");
  fill(root, h("h1", { class: "unseen" }, "Layers"), tools, chips.element, place);
  let answer = null;
  let request = null;
  let key = "";
  let opened = null;
  let chart = null;
  let rows = [];

  const run = () => list.runs.get(state.layerRun) ?? list.drawn()[0] ?? null;

  async function load() {
    const chosen = run();
    if (!chosen) return;
    request?.abort();
    request = new AbortController();
    try {
      answer = await api.layers({ run: chosen.id, kind: state.kind, buckets: PARTS }, request.signal);
      // Another run may not have the kind that was chosen for the last one.
      if (!answer.layers.length && answer.kinds.length && !answer.kinds.includes(state.kind)) answer = await api.layers({ run: chosen.id, buckets: PARTS }, request.signal);
      draw();
    } catch (error) {
      if (!api.isAbort(error)) fill(place, trouble(error.message, load));
    }
  }

  const soon = atMost(1500, load);

  function drawTools() {
    const runs = list.drawn();
    const shown = run();
    const chooseRun = h(
      "select",
      { id: "layer-run", onchange: (event) => change({ layerRun: event.target.value }) },
      [...new Set([...(shown ? [shown] : []), ...runs])].map((one) => h("option", { value: one.id, selected: one.id === shown?.id }, list.shortName(one))),
    );
    const chooseKind = h(
      "select",
      { id: "layer-kind", onchange: (event) => change({ kind: event.target.value }) },
      (answer?.kinds ?? []).map((kind) => h("option", { value: kind, selected: kind === answer.kind }, kind.replaceAll("_", " "))),
    );
    const focused = document.activeElement?.id;
    fill(
      tools,
      h("span", { class: "field" }, h("label", { for: "layer-run" }, "Run"), chooseRun),
      answer?.kinds.length ? h("span", { class: "field" }, h("label", { for: "layer-kind" }, "Statistic"), chooseKind) : null,
    );
    if (focused && document.activeElement === document.body) tools.querySelector(`#${CSS.escape(focused)}`)?.focus();
  }

  /** Ends of the colour scale: of all magnitudes that are numbers above nothing. */
  function scale() {
    let low = Infinity;
    let high = 0;
    for (const layer of answer.layers) {
      for (const value of layer.mean) {
        const size = Math.abs(value);
        if (value !== null && size > 0) {
          low = Math.min(low, size);
          high = Math.max(high, size);
        }
      }
    }
    if (!(high > 0)) return { low: 1e-6, high: 1 };
    // Below a millionth of the largest all is equally dark: such gradients have vanished.
    return { low: Math.max(low, high * 1e-6), high: high === low ? low * 10 : high };
  }

  function draw() {
    drawTools();
    if (!answer.layers.length) {
      closeLayer();
      fill(place, empty("No layers were logged", h("p", {}, "Experiments and the training callback Record log the gradients and weights of every layer: at step 0, then every few steps, as often as its argument every says.")));
      return;
    }
    const ends = scale();
    const steps = (part) => answer.origin + (part + 0.5) * answer.width;
    const signed = answer.layers.some((layer) => layer.mean.some((value) => value < 0));
    const names = JSON.stringify([answer.kind, answer.layers.map((layer) => layer.name)]);
    if (names !== key) {
      key = names;
      rows = answer.layers.map((layer) => row(layer.name));
      fill(
        place,
        h(
          "div",
          { class: "card strips" },
          h("div", { class: "strip-scale" }),
          h(
            "div",
            { class: "scroll" },
            h(
              "table",
              {},
              h("caption", { class: "unseen" }, "Statistic by layer; a button opens the curve of a layer"),
              h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Layer"), h("th", { scope: "col" }, h("div", { class: "strip-steps" })), h("th", { scope: "col", class: "number" }, "Last"))),
              h("tbody", {}, rows.map((one) => [one.element, one.more])),
            ),
          ),
        ),
      );
      if (opened) openLayer(opened);
    }
    fill(place.querySelector(".strip-scale"), h("span", {}, signed ? "magnitude " : "", number(ends.low, 2)), gradient(), h("span", {}, number(ends.high, 2)), h("span", { class: "quiet" }, "logarithmic; hatched: not a number"));
    fill(place.querySelector(".strip-steps"), h("span", {}, `step ${count(Math.max(0, steps(0)))}`), h("span", {}, count(steps(answer.parts - 1))));
    answer.layers.forEach((layer, i) => {
      rows[i].paint(layer, ends, steps);
    });
  }

  function gradient() {
    const bar = h("span", { class: "strip-bar", "aria-hidden": "true" });
    bar.style.background = SHADES;
    return bar;
  }

  function row(name) {
    const canvas = h("canvas", { height: "1", "aria-hidden": "true" });
    const last = h("td", { class: "number mono" });
    const button = h("button", { type: "button", class: "plain layer-name mono", "aria-expanded": "false", onclick: () => (opened === name ? closeLayer() : openLayer(name)) }, name);
    const more = h("tr", { hidden: true }, h("td", { colspan: "3" }));
    const element = h("tr", { dataset: { layer: name } }, h("th", { scope: "row" }, button), h("td", { class: "strip" }, canvas), last);
    return {
      name,
      element,
      more,
      button,
      paint(layer, ends, steps) {
        last.textContent = layer.last === null ? "NaN" : number(layer.last, 3);
        paint(canvas, layer, ends);
        canvas.onmousemove = (event) => {
          const part = Math.min(layer.mean.length - 1, Math.floor((event.offsetX / canvas.clientWidth) * layer.mean.length));
          const value = layer.mean[part];
          canvas.title = `${name}, step ${count(steps(part))}: ${layer.bad.includes(part) ? "not a number" : number(value, 4)}`;
        };
      },
    };
  }

  async function openLayer(name) {
    closeLayer();
    const row = rows.find((one) => one.name === name);
    if (!row) return;
    opened = name;
    row.button.setAttribute("aria-expanded", "true");
    row.more.hidden = false;
    const metric = `${answer.kind}/${name}`;
    chart = new Chart(metric, { zoom: () => {}, toggleLog: () => ((chart.log = !chart.log), loadChart()), grow: () => chart.setLarge(!chart.large) });
    chart.log = true;
    fill(row.more.firstElementChild, chart.element);
    await loadChart();
    announce(`Curve of ${metric}`);
  }

  async function loadChart() {
    const shown = run();
    const current = chart;
    if (!current || !shown) return;
    try {
      const found = await api.series({ run: [shown.id], name: current.title, x: "step", buckets: curves.MOST });
      current.update([shown], curves.received(found), null, { x: "step", logX: false, logY: current.log, smoothing: state.smoothing, range: null });
    } catch (error) {
      current.say(error.message);
    }
  }

  function closeLayer() {
    chart?.destroy();
    chart = null;
    const row = rows.find((one) => one.name === opened);
    opened = null;
    if (!row) return;
    row.button.setAttribute("aria-expanded", "false");
    row.more.hidden = true;
  }

  function update(keys) {
    chips.update();
    const shown = run();
    if (!shown) {
      answer = null;
      key = "";
      fill(tools);
      fill(place, chooseFirst("their gradients and weights"));
      return;
    }
    want(shown.status === "running" ? [shown.id] : [], [], "step");
    if (!keys || ["selected", "layerRun", "kind"].some((name) => keys.has(name)) || !answer) load();
  }

  const end = onLive((event) => {
    if (event.kind === "hello" && !event.resumed) load();
  });

  function runsChanged(ids) {
    chips.update();
    const shown = run();
    if (shown && !answer) load();
    else if (shown && ids.has(shown.id)) {
      soon();
      if (chart) loadChart();
    }
  }

  update(null);
  return {
    update,
    runsChanged,
    repaint: () => {
      chips.update();
      if (chart) chart.shape = "";
      loadChart();
    },
    destroy: () => {
      end();
      request?.abort();
      chart?.destroy();
    },
  };
}

/** A strip of one pixel a part, stretched by the style sheet. */
function paint(canvas, layer, ends) {
  const width = layer.mean.length;
  canvas.width = width;
  canvas.height = 8;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, 8);
  const span = Math.log10(ends.high / ends.low) || 1;
  const bad = new Set(layer.bad);
  for (let i = 0; i < width; i += 1) {
    const value = layer.mean[i];
    const colour = value === null ? null : shade(value === 0 ? 0 : Math.log10(Math.abs(value) / ends.low) / span);
    for (let j = 0; j < 8; j += 1) {
      const at = 4 * (j * width + i);
      if (bad.has(i)) image.data.set((i + j) % 2 ? [214, 69, 65, 255] : [255, 255, 255, 255], at);
      else if (colour) image.data.set([...colour, 255], at);
    }
  }
  context.putImageData(image, 0, 0);
}
