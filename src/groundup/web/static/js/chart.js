// One chart: a metric of several runs, drawn by uPlot, with values under the pointer, zooming and
// panning by mouse, touch and keyboard, and a table of the same numbers for those who do not see it.
//
// A run is drawn as a line (the mean of a bucket, smoothed if asked) over a band from the least to
// the greatest value, so that no peak is lost; where every point is drawn and smoothed, the points
// themselves show faintly behind.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { axis, padded } from "./axes.js";
import { isCoarse, join, lines, nearest } from "./curves.js";
import { announce, eachFrame, fill, h, iconButton, setIcon } from "./dom.js";
import { count, duration, number, unit } from "./format.js";
import { faded, look, swatch } from "./palette.js";
import { distinction, nameParts, shortName, slot } from "./runs.js";

const PER_RUN = 4; // low, high, raw, line
const SHOWN = 10;
const HEIGHT = 232; // as .chart-drawing has it
const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const cursors = uPlot.sync("charts");

/** A position on the horizontal axis, in words. */
export function place(x, mode) {
  if (mode === "time") return duration(x);
  return mode === "epoch" ? `epoch ${number(x, 4)}` : `step ${count(x)}`;
}

/** What the horizontal axis counts. */
function labelOf(mode) {
  return { step: "step", time: "time since the start", epoch: "epoch" }[mode];
}

export class Chart {
  /**
   * @param {string} title what is drawn
   * @param {{ zoom: (range: number[] | null) => void, toggleLog: () => void, grow: () => void }} actions
   *   what the chart asks of its view
   */
  constructor(title, actions) {
    this.title = title;
    this.actions = actions;
    this.runs = [];
    this.options = { x: "step", logX: false, logY: false, smoothing: 0, range: null };
    this.focused = null;
    this.cursorIndex = null;
    this.large = false;
    this.plot = null;
    this.shape = "";
    this.logButton = iconButton("log", "Logarithmic values", () => actions.toggleLog());
    this.tableButton = iconButton("table", "Show as a table", () => this.showTable(this.table.hidden));
    this.resetButton = iconButton("reset", "Show the whole range", () => actions.zoom(null), { hidden: true });
    this.growButton = iconButton("expand", "Enlarge", () => actions.grow());
    this.drawing = h("div", { class: "chart-drawing" });
    this.tip = h("div", { class: "chart-tip", hidden: true, "aria-hidden": "true" });
    this.note = h("p", { class: "chart-note", hidden: true });
    this.figure = h(
      "div",
      { class: "chart-figure", tabindex: "0", role: "group", onkeydown: (event) => this.key(event), onblur: () => this.point(null) },
      this.drawing,
      this.tip,
    );
    this.table = h("div", { class: "chart-table scroll", hidden: true });
    this.element = h(
      "section",
      { class: "card chart", "aria-label": title, dataset: { chart: title } },
      h("header", {}, h("h3", { title }, title, unit(title) ? h("span", { class: "unit" }, ` ${unit(title)}`) : null), this.resetButton, this.logButton, this.tableButton, this.growButton),
      this.figure,
      this.note,
      this.table,
    );
    this.redraw = eachFrame(() => this.draw());
    this.resizing = new ResizeObserver(eachFrame(() => this.resize()));
    this.resizing.observe(this.drawing);
    this.listenToTouch();
  }

  destroy() {
    this.resizing.disconnect();
    this.plot?.destroy();
    this.plot = null;
    this.element.remove();
  }

  /**
   * Draw other numbers or in another way.
   *
   * @param {object[]} runs summaries in the order of selection
   * @param {Map} overview columns by run
   * @param {Map | null} detail columns of the range, if there are any
   */
  update(runs, overview, detail, options) {
    this.runs = runs.filter((run) => overview.get(run.id)?.x.length);
    this.overview = overview;
    this.detail = detail;
    this.options = options;
    this.redraw();
  }

  /** Say why there is nothing to see, or null. */
  say(words) {
    this.note.hidden = words === null;
    this.note.textContent = words ?? "";
  }

  setLarge(large) {
    this.large = large;
    this.element.classList.toggle("large", large);
    setIcon(this.growButton, large ? "shrink" : "expand", large ? "Make smaller" : "Enlarge");
    this.resize();
  }

  /** Let one run stand out, or none. */
  focus(id) {
    if (this.focused === id) return;
    this.focused = id;
    this.plot?.redraw(false);
  }

  draw() {
    const { x: mode, logX, logY, smoothing, range } = this.options;
    this.logButton.setAttribute("aria-pressed", String(logY));
    this.resetButton.hidden = range === null;
    const all = this.runs.map((run) => lines(this.overview.get(run.id), this.detail?.get(run.id), smoothing));
    this.bad = all.map((one) => one.bad);
    const first = this.runs.length ? this.overview.get(this.runs[0].id) : null;
    const { x, columns } = join(all, (this.detail?.get(this.runs[0]?.id) ?? first)?.grid);
    const positive = (column) => (logY && column ? column.map((value) => (value > 0 ? value : value === undefined ? undefined : null)) : column);
    // A cursor stays at its place, whatever the numbers of the places are now.
    if (this.cursorIndex !== null) {
      const at = this.x?.[this.cursorIndex];
      const after = x.findIndex((value) => value >= at);
      this.cursorIndex = at === undefined || !x.length ? null : after < 0 ? x.length - 1 : after;
    }
    this.columns = columns.map((one) => ({ low: positive(one.low), high: positive(one.high), raw: positive(one.raw), line: positive(one.line) }));
    this.x = x;
    const empty = new Array(x.length).fill(undefined);
    const data = [x, ...this.columns.flatMap(({ low, high, raw, line }) => [low ?? empty, high ?? empty, raw ?? empty, line])];
    this.figure.setAttribute(
      "aria-label",
      `Chart of ${this.title}, ${this.runs.length} runs. Left and right arrows move along the curve, plus and minus zoom, Home shows everything.`,
    );
    const shape = JSON.stringify([this.runs.map((run) => [run.id, slot(run.id)]), mode, logX, logY]);
    if (this.plot && shape === this.shape) this.plot.setData(data);
    else this.build(data, shape);
    const drawable = this.columns.some(({ line }) => line.some((value) => typeof value === "number"));
    this.say(drawable || !this.runs.length ? null : logY ? "No positive values to show on a logarithmic axis." : "No value is a number.");
    if (!this.table.hidden) this.fillTable();
    if (this.cursorIndex !== null) this.showTip(this.cursorIndex);
  }

  size() {
    return { width: Math.max(120, this.drawing.clientWidth), height: this.large ? Math.max(260, Math.min(620, innerHeight - 230)) : HEIGHT };
  }

  resize() {
    const size = this.size();
    if (this.plot && (this.plot.width !== size.width || this.plot.height !== size.height)) this.plot.setSize(size);
  }

  build(data, shape) {
    this.plot?.destroy();
    this.shape = shape;
    const { x: mode, logX, logY } = this.options;
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--quiet").trim();
    const line = style.getPropertyValue("--line").trim();
    const bands = [];
    const series = [{}];
    this.runs.forEach((run, i) => {
      const { colour, dash } = look(slot(run.id));
      const alpha = (share) => faded(colour, this.focused === null || this.focused === run.id ? share : share * 0.22);
      const edge = { scale: "y", width: 0, stroke: null, points: { show: false } };
      series.push(
        { ...edge },
        { ...edge },
        { scale: "y", width: 1, stroke: () => alpha(0.33), points: { show: false } },
        { scale: "y", width: 1.8, dash, stroke: () => alpha(1), points: { size: 5, fill: colour, width: 0 } },
      );
      bands.push({ series: [PER_RUN * i + 2, PER_RUN * i + 1], fill: () => alpha(0.2) });
    });
    this.plot = new uPlot(
      {
        ...this.size(),
        padding: [8, 12, 0, 0],
        legend: { show: false },
        series,
        bands,
        scales: {
          x: { time: false, distr: logX ? 3 : 1, range: (_u, low, high) => this.rangeOfX(low, high) },
          y: { distr: logY ? 3 : 1, range: (_u, low, high) => padded(low, high, logY) },
        },
        axes: [
          axis({ side: 2, log: logX, time: mode === "time", ink, line, font: FONT, label: labelOf(mode) }),
          axis({ side: 3, log: logY, time: false, ink, line, font: FONT }),
        ],
        cursor: {
          sync: { key: cursors.key, scales: ["x", null], setSeries: false },
          drag: { x: true, y: false, setScale: false },
          points: { show: (u, i) => (i % PER_RUN === 0 && i > 0 ? uPlotPoint(u, i) : null) },
          dataIdx: (_u, i, at) => (i > 0 && i % PER_RUN === 0 ? this.indexNear(i / PER_RUN - 1, at) : null),
          y: false,
        },
        hooks: {
          setCursor: [(u) => this.pointed(u)],
          setSelect: [(u) => this.selected(u)],
          draw: [(u) => this.drawBad(u)],
        },
      },
      data,
      this.drawing,
    );
    this.plot.over.addEventListener("dblclick", () => this.actions.zoom(null));
    this.plot.over.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.plot.over.addEventListener("mousedown", (event) => this.drag(event), { capture: true });
    this.plot.over.addEventListener("mouseleave", () => this.hideTip());
  }

  rangeOfX(low, high) {
    if (this.options.range) return this.options.range;
    if (low === null || high === null) return this.options.logX ? [1, 10] : [0, 1];
    if (low !== high) return [low, high];
    return this.options.logX ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
  }

  /** Values that are not numbers: a cross at the foot of the chart, where they would have been. */
  drawBad(u) {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio;
    const size = 3 * ratio;
    ctx.save();
    this.bad?.forEach((places, i) => {
      if (!places.length) return;
      ctx.strokeStyle = look(slot(this.runs[i].id)).colour;
      ctx.lineWidth = 1.5 * ratio;
      const y = bbox.top + bbox.height - 5 * ratio;
      let last = -Infinity;
      ctx.beginPath();
      for (const value of places) {
        const x = u.valToPos(value, "x", true);
        if (x < bbox.left || x > bbox.left + bbox.width || x - last < 3 * size) continue;
        last = x;
        ctx.moveTo(x - size, y - size);
        ctx.lineTo(x + size, y + size);
        ctx.moveTo(x + size, y - size);
        ctx.lineTo(x - size, y + size);
      }
      ctx.stroke();
    });
    ctx.restore();
  }

  // Zooming and panning

  /** The range that is drawn now. */
  get range() {
    const { min, max } = this.plot.scales.x;
    return [min, max];
  }

  /** Change the range by a factor around a share of its width, and by a share of its width. */
  change(factor, around = 0.5, shift = 0) {
    if (!this.plot || !this.x.length) return;
    const { logX } = this.options;
    const to = (value) => (logX ? Math.log10(value) : value);
    const from = (value) => (logX ? 10 ** value : value);
    const [low, high] = this.range.map(to);
    const middle = low + around * (high - low);
    let next = [middle - (middle - low) * factor + shift * (high - low), middle + (high - middle) * factor + shift * (high - low)];
    const ends = this.extent().map(to);
    const width = Math.min(next[1] - next[0], ends[1] - ends[0]);
    if (next[0] < ends[0]) next = [ends[0], ends[0] + width];
    if (next[1] > ends[1]) next = [ends[1] - width, ends[1]];
    if (next[1] - next[0] < 1e-9 * Math.max(1, Math.abs(next[1]))) return;
    const whole = next[0] <= ends[0] && next[1] >= ends[1];
    this.actions.zoom(whole ? null : next.map(from));
  }

  extent() {
    const all = this.runs.map((run) => this.overview.get(run.id).x);
    return [Math.min(...all.map((x) => x[0])), Math.max(...all.map((x) => x[x.length - 1]))];
  }

  selected(u) {
    const { left, width } = u.select;
    if (width < 4) return;
    const range = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.actions.zoom(range);
  }

  /** With Ctrl (which a pinch on a touchpad sends) or Shift; the plain wheel scrolls the page. */
  wheel(event) {
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
    event.preventDefault();
    const box = this.plot.over.getBoundingClientRect();
    const around = (event.clientX - box.left) / box.width;
    const turned = event.deltaY || event.deltaX;
    this.change(Math.exp(Math.max(-1, Math.min(1, turned / 200))), around);
  }

  /** Shift and the mouse, or the middle button, pull the curve along. */
  drag(event) {
    if (!(event.shiftKey && event.button === 0) && event.button !== 1) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    let from = event.clientX;
    const width = this.plot.over.clientWidth;
    const move = (moved) => {
      this.change(1, 0.5, (from - moved.clientX) / width);
      from = moved.clientX;
    };
    const end = () => {
      removeEventListener("mousemove", move);
      removeEventListener("mouseup", end);
    };
    addEventListener("mousemove", move);
    addEventListener("mouseup", end);
  }

  /** One finger sideways pulls a zoomed curve along, two fingers zoom. */
  listenToTouch() {
    let before = null;
    const read = (event) => {
      const box = this.plot.over.getBoundingClientRect();
      const places = [...event.touches].map((touch) => (touch.clientX - box.left) / box.width);
      const middle = places.reduce((a, b) => a + b, 0) / places.length;
      return { middle, spread: places.length > 1 ? Math.abs(places[0] - places[1]) : 0, y: event.touches[0].clientY };
    };
    this.drawing.addEventListener("touchstart", (event) => (before = this.plot ? read(event) : null), { passive: true });
    this.drawing.addEventListener(
      "touchmove",
      (event) => {
        if (!before || !this.plot) return;
        const now = read(event);
        if (now.spread && before.spread) {
          event.preventDefault();
          this.change(before.spread / Math.max(0.02, now.spread), now.middle, before.middle - now.middle);
        } else if (this.options.range && !now.spread && Math.abs(now.middle - before.middle) > 0.005) {
          event.preventDefault();
          this.change(1, 0.5, before.middle - now.middle);
        } else return;
        before = now;
      },
      { passive: false },
    );
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.plot || !this.x?.length) return;
    const actions = {
      ArrowLeft: () => (event.shiftKey ? this.change(1, 0.5, -0.2) : this.step(-1)),
      ArrowRight: () => (event.shiftKey ? this.change(1, 0.5, 0.2) : this.step(1)),
      PageUp: () => this.step(-20),
      PageDown: () => this.step(20),
      "+": () => this.change(0.5, this.cursorShare()),
      "=": () => this.change(0.5, this.cursorShare()),
      "-": () => this.change(2, this.cursorShare()),
      Home: () => this.actions.zoom(null),
      Enter: () => this.actions.grow(),
    };
    const action = actions[event.key];
    if (!action || event.target !== this.figure) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  cursorShare() {
    const left = this.cursorIndex === null ? null : this.plot.valToPos(this.x[this.cursorIndex], "x");
    const width = this.plot.over.clientWidth;
    return left === null || left < 0 || left > width ? 0.5 : left / width;
  }

  step(by) {
    const [low, high] = this.range;
    const inside = this.x.flatMap((value, i) => (value >= low && value <= high ? [i] : []));
    if (!inside.length) return;
    const at = this.cursorIndex === null ? (by > 0 ? inside[0] - by : inside.at(-1) - by) : this.cursorIndex;
    this.point(Math.max(inside[0], Math.min(inside.at(-1), at + by)));
    announce(this.words());
  }

  // Values under the pointer

  /** Put the cursor on an index, or take it away. */
  point(index) {
    if (!this.plot) return;
    const left = index === null ? -10 : this.plot.valToPos(this.x[index], "x");
    this.plot.setCursor({ left, top: index === null ? -10 : this.plot.over.clientHeight / 2 });
    this.cursorIndex = index; // not the neighbour that lies on the same pixel
    if (index === null) this.hideTip();
    else this.showTip(index);
  }

  pointed(u) {
    const { left, idx } = u.cursor;
    if (left < 0 || idx === null || idx === undefined) {
      this.hideTip();
      return;
    }
    this.cursorIndex = idx;
    // Charts that only follow another one's pointer show points, not a box each.
    if (u.over.matches(":hover") || document.activeElement === this.figure) this.showTip(idx);
    else this.tip.hidden = true;
  }

  hideTip() {
    this.tip.hidden = true;
    this.cursorIndex = null;
  }

  /** Where a run has the value that counts at an index; null if the run was not there yet or no more. */
  indexNear(i, index) {
    const column = this.columns[i]?.line;
    const at = nearest(column, index);
    if (at === null || at === index) return at;
    const step = at < index ? 1 : -1;
    for (let k = index + step; k >= 0 && k < column.length; k += step) if (typeof column[k] === "number") return at;
    const [low, high] = this.range;
    return Math.abs(this.x[at] - this.x[index]) < 0.02 * (high - low) ? at : null;
  }

  /** What the runs have near an index, the greatest first. */
  values(index) {
    return this.runs
      .map((run, i) => {
        const column = this.columns[i];
        const at = this.indexNear(i, index);
        if (at === null) return null;
        const { low, high, raw } = column;
        return { run, x: this.x[at], value: column.line[at], raw: raw?.[at], low: low?.[at], high: high?.[at] };
      })
      .filter(Boolean)
      .sort((a, b) => b.value - a.value);
  }

  /** As short as it can be among the runs that are drawn. */
  nameOf(run) {
    const alike = this.runs.every((one) => one.experiment === run.experiment);
    const [name, rest] = nameParts(run);
    return alike && rest ? [rest, ...distinction(run, 1)].join(" · ") : [name, rest].join(" ");
  }

  words() {
    const found = this.values(this.cursorIndex).slice(0, SHOWN);
    const parts = found.map(({ run, value }) => `${this.nameOf(run)} ${number(value)}`);
    return `${place(this.x[this.cursorIndex], this.options.x)}: ${parts.join(", ")}`;
  }

  showTip(index) {
    if (!this.plot || this.x[index] === undefined) return;
    let found = this.values(index);
    const more = found.length - SHOWN;
    const top = this.plot.cursor.top;
    if (more > 0 && top >= 0) {
      const at = this.plot.posToVal(top, "y");
      const near = [...found].sort((a, b) => Math.abs(a.value - at) - Math.abs(b.value - at)).slice(0, SHOWN);
      found = found.filter((one) => near.includes(one));
    }
    fill(
      this.tip,
      h("div", { class: "chart-tip-x" }, place(this.x[index], this.options.x)),
      found.slice(0, SHOWN).map(({ run, value, raw, low, high }) => [
        swatch(slot(run.id)),
        h("span", { class: "chart-tip-name" }, this.nameOf(run)),
        h("b", {}, number(value)),
        h("span", { class: "quiet" }, spread(value, raw, low, high)),
      ]),
      more > 0 ? h("div", { class: "chart-tip-more" }, `and ${more} more`) : null,
    );
    this.tip.hidden = false;
    const left = this.plot.valToPos(this.x[index], "x") + this.plot.over.offsetLeft;
    const width = this.tip.offsetWidth;
    const room = this.figure.clientWidth;
    const beside = left + 14 + width <= room ? left + 14 : left - 14 - width;
    this.tip.style.left = `${Math.max(4, Math.min(room - width - 4, beside))}px`;
  }

  // The same as numbers

  showTable(shown) {
    this.table.hidden = !shown;
    this.tableButton.setAttribute("aria-pressed", String(shown));
    if (shown) this.fillTable();
  }

  fillTable() {
    const row = (run) => {
      const columns = this.overview.get(run.id);
      const values = (columns.y ?? columns.mean).filter((value) => value !== null);
      const lows = (columns.low ?? values).filter((value) => value !== null);
      const highs = (columns.high ?? values).filter((value) => value !== null);
      const least = lows.reduce((a, b) => Math.min(a, b), Infinity);
      const most = highs.reduce((a, b) => Math.max(a, b), -Infinity);
      const last = isCoarse(columns) ? (run.metrics[this.title] ?? values.at(-1)) : values.at(-1);
      const cells = [last, values.length ? least : null, values.length ? most : null].map((value) => h("td", { class: "number" }, number(value)));
      return h("tr", {}, h("th", { scope: "row" }, swatch(slot(run.id)), " ", shortName(run)), cells, h("td", { class: "number" }, count(columns.count)));
    };
    const heads = ["Last", "Least", "Greatest", "Points"].map((text) => h("th", { scope: "col", class: "number" }, text));
    fill(this.table, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Run"), heads)), h("tbody", {}, this.runs.map(row))));
  }
}

function spread(value, raw, low, high) {
  if (typeof raw === "number" && raw !== value) return number(raw);
  if (typeof low === "number" && low !== high) return `${number(low, 3)} … ${number(high, 3)}`;
  return "";
}

function uPlotPoint(u, i) {
  const element = document.createElement("div");
  element.style.width = element.style.height = "8px";
  element.style.marginLeft = element.style.marginTop = "-4px";
  element.style.background = u.series[i].stroke(u, i);
  return element;
}
