// Numbers of curves between the server and the chart: columns a run, appended to as events come,
// smoothed, and brought onto one common x for drawing.
//
// A run's columns are exact ({ x, y }: every point) or coarse ({ x, mean, low, high }: buckets of a
// grid, see groundup/web/buckets.py). A part of the axis that is looked at more closely has columns
// of its own.

/** Points or buckets of a run that are asked for at once; a chart is hardly wider in pixels. */
export const MOST = 600;
const MOST_JOINED = 2400;

const BAD = (value) => value === null || value === undefined;

/** What the server sent, with the columns by run. */
export function received(answer) {
  const { origin, width, log } = answer;
  const columns = new Map();
  for (const one of answer.series) columns.set(one.run, { grid: { origin, width, log }, ...one });
  return columns;
}

/** Whether columns are buckets. */
export const isCoarse = (columns) => columns.mean !== undefined;

const drawn = (grid, x) => (grid.log ? Math.log10(x) : x);

/**
 * Append new points. Returns "done", "gap" if points in between are missing here, or "full" if the
 * columns have become so long that they should be asked for again (they are appended all the same).
 */
export function append(columns, event) {
  const { x, y, from, to } = event;
  if (from > columns.count) return "gap";
  if (to <= columns.count) return "done";
  const skip = columns.count - from;
  if (skip > 0 && x.length !== to - from) return "gap"; // a selection cannot be cut
  const exact = !isCoarse(columns);
  const last = columns.x.at(-1) ?? -Infinity;
  for (let i = skip; i < x.length; i += 1) {
    if (columns.grid.log && !(x[i] > 0)) continue;
    if (x[i] < last) return "gap"; // not in order: the server sorts
    if (exact) {
      columns.x.push(x[i]);
      columns.y.push(y[i]);
    } else appendToBuckets(columns, x[i], y[i]);
  }
  columns.count = to;
  return columns.x.length > 2 * MOST ? "full" : "done";
}

function appendToBuckets(columns, x, y) {
  const { grid } = columns;
  const part = Math.floor((drawn(grid, x) - grid.origin) / grid.width);
  const end = columns.x.length - 1;
  const lastPart = Math.floor((drawn(grid, columns.x[end]) - grid.origin) / grid.width);
  if (part > lastPart) {
    const middle = grid.origin + (part + 0.5) * grid.width;
    columns.x.push(grid.log ? 10 ** middle : middle);
    for (const name of ["mean", "low", "high"]) columns[name].push(y);
    columns.bad?.push(BAD(y) ? 1 : 0);
    columns.tail = 1;
    return;
  }
  if (BAD(y)) return;
  // How many points are in the last bucket is only known of those that were appended here.
  columns.tail = (columns.tail ?? Math.max(1, Math.round(columns.count / columns.x.length))) + 1;
  const mean = columns.mean[end];
  columns.mean[end] = BAD(mean) ? y : mean + (y - mean) / columns.tail;
  columns.low[end] = BAD(columns.low[end]) ? y : Math.min(columns.low[end], y);
  columns.high[end] = BAD(columns.high[end]) ? y : Math.max(columns.high[end], y);
}

/**
 * Exponential moving average over x: the weight of what lies d behind is exp(-d / tau), and the sum
 * of weights is divided out, so that the first values are not drawn to zero.
 *
 * What is logged rarely is smoothed no more than what is logged often, and a bucket counts like the
 * points in it. `before` are points ahead of the first one, from which the average starts.
 */
export function smooth(x, y, tau, before = null) {
  if (!(tau > 0)) return y;
  const state = { x: null, sum: 0, weight: 0 };
  const step = (at, value) => {
    if (BAD(value)) return null;
    const keep = state.x === null ? 0 : Math.exp(-Math.max(0, at - state.x) / tau);
    // Points at one place share a weight above nothing.
    const gain = Math.max(1 - keep, 1e-6);
    state.sum = keep * state.sum + gain * value;
    state.weight = keep * state.weight + gain;
    state.x = at;
    return state.sum / state.weight;
  };
  if (before && x.length) {
    for (let i = 0; i < before.x.length && before.x[i] < x[0]; i += 1) step(before.x[i], before.y[i]);
  }
  return y.map((value, i) => step(x[i], value));
}

/** Seconds, steps or epochs of the average: a part of the whole length of the curve. */
export function smoothingLength(x, share) {
  return share > 0 && x.length > 1 ? share * (x[x.length - 1] - x[0]) : 0;
}

/** One run's lines: of the overview, or of the closer look where there is one and it helps. */
export function lines(overview, detail, share) {
  const source = detail && isCoarse(overview) ? detail : overview;
  const coarse = isCoarse(source);
  const values = coarse ? source.mean : source.y;
  const tau = smoothingLength(overview.x, share);
  const lead = source === overview ? null : { x: overview.x, y: overview.mean };
  return {
    x: source.x,
    line: smooth(source.x, values, tau, lead),
    raw: !coarse && tau > 0 ? values : null,
    low: coarse ? source.low : null,
    high: coarse ? source.high : null,
    bad: badPlaces(source, values),
  };
}

function badPlaces(source, values) {
  if (isCoarse(source)) return source.bad ? source.x.filter((_, i) => source.bad[i] > 0) : [];
  return source.x.filter((_, i) => BAD(values[i]));
}

/**
 * Bring the lines of several runs onto one x. In the result `undefined` is "nothing was logged
 * here" (a line goes on) and `null` is "not a number" (a line breaks).
 */
export function join(all, grid) {
  const same = all.every((one) => one.x.length === all[0].x.length && one.x.every((x, i) => x === all[0].x[i]));
  if (!all.length) return { x: [], columns: [] };
  if (same && rises(all[0].x)) return { x: all[0].x, columns: all.map(({ low, high, raw, line }) => ({ low, high, raw, line })) };
  let x = distinct(all.flatMap((one) => one.x));
  let place = null;
  if (x.length > MOST_JOINED && grid) {
    const parts = (value) => Math.floor((drawn(grid, value) - grid.origin) / grid.width);
    const found = distinct(x.map(parts));
    place = new Map(found.map((part, i) => [part, i]));
    x = found.map((part) => (grid.log ? 10 ** (grid.origin + (part + 0.5) * grid.width) : grid.origin + (part + 0.5) * grid.width));
    return { x, columns: all.map((one) => spread(one, x.length, (value) => place.get(parts(value)))) };
  }
  place = new Map(x.map((value, i) => [value, i]));
  return { x, columns: all.map((one) => spread(one, x.length, (value) => place.get(value))) };
}

function rises(x) {
  return x.every((value, i) => i === 0 || value > x[i - 1]);
}

function distinct(values) {
  const sorted = Float64Array.from(values).sort();
  const found = [];
  for (const value of sorted) if (found.at(-1) !== value) found.push(value);
  return found;
}

function spread(one, length, index) {
  const columns = {};
  for (const name of ["low", "high", "raw", "line"]) {
    if (!one[name]) {
      columns[name] = null;
      continue;
    }
    const column = new Array(length).fill(undefined);
    one.x.forEach((x, i) => {
      const at = index(x);
      const value = one[name][i];
      const there = column[at];
      // Several in one place: the extremes for a band, the last for a line.
      if (BAD(there) || BAD(value) || (name !== "low" && name !== "high")) column[at] = value ?? (BAD(there) ? null : there);
      else column[at] = name === "low" ? Math.min(there, value) : Math.max(there, value);
    });
    columns[name] = column;
  }
  return columns;
}

/** The index of the nearest value of a column that is a number. */
export function nearest(column, index) {
  if (!column) return null;
  for (let away = 0; away < column.length; away += 1) {
    if (index - away >= 0 && !BAD(column[index - away])) return index - away;
    if (index + away < column.length && !BAD(column[index + away])) return index + away;
  }
  return null;
}
