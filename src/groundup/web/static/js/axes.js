// Scales and labels of charts: plain, logarithmic and time axes.

import { clock, tick } from "./format.js";

const SECONDS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
  10800, 21600, 43200, 86400, 172800, 432000, 864000, 1728000, 4320000, 8640000,
];

/** A range with some room around it; for a logarithmic axis the room is a factor. */
export function padded(low, high, log) {
  if (low === null || high === null || low === undefined || !Number.isFinite(low) || !Number.isFinite(high)) return log ? [0.1, 1] : [0, 1];
  if (log) {
    const factor = low === high ? 2 : (high / low) ** 0.05;
    return [low / factor, high * factor];
  }
  if (low === high) {
    const room = low === 0 ? 1 : Math.abs(low) * 0.1;
    return [low - room, high + room];
  }
  const room = (high - low) * 0.06;
  // A curve of positive numbers that comes near zero stands on zero.
  return [low >= 0 && low < (high - low) * 0.15 ? 0 : low - room, high + room];
}

/** Places of labels between two positive numbers: 1, 2, 5 in each decade, or fewer, or more. */
export function logTicks(low, high, most) {
  const decades = Math.log10(high / low);
  if (decades < 0.7) return linearTicks(low, high, most);
  const every = Math.max(1, Math.ceil(decades / most));
  const digits = decades > most / 1.5 ? [1] : decades > most / 3 ? [1, 3] : [1, 2, 5];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    if (digits.length === 1 && power % every) continue;
    for (const digit of digits) {
      const value = Number(`${digit}e${power}`);
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

/** Round places at equal distances. */
export function linearTicks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) found.push(Number((k * step).toPrecision(12)));
  return found;
}

function secondTicks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const step = SECONDS.find((seconds) => seconds >= rough) ?? SECONDS.at(-1);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) found.push(Number((k * step).toPrecision(12)));
  return found;
}

/** Settings of a uPlot axis. */
export function axis({ side, log, time, ink, line, font, label = null }) {
  const room = side === 2 ? 64 : 32;
  return {
    side,
    stroke: ink,
    font,
    label,
    labelFont: font,
    labelSize: label === null ? 0 : 16,
    labelGap: 0,
    size: side === 2 ? 22 : sizeOfLabels,
    gap: 4,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1, size: 4 },
    border: { show: false },
    space: room,
    splits: (u, _index, low, high) => {
      const pixels = side === 2 ? u.bbox.width : u.bbox.height;
      const most = Math.max(2, Math.floor(pixels / devicePixelRatio / room));
      if (!(high > low)) return [low];
      if (log) return logTicks(low, high, most);
      return time ? secondTicks(low, high, most) : linearTicks(low, high, most);
    },
    filter: (_u, splits) => splits,
    values: (_u, splits) =>
      splits.map((value, i) => {
        if (time) return clock(value);
        const next = splits[i + 1] ?? splits[i - 1] ?? 0;
        const step = log && splits.length > 1 && !even(splits) ? value : Math.abs(next - value);
        return tick(value, step || Math.abs(value) || 1);
      }),
  };
}

function even(splits) {
  return splits.length > 2 && Math.abs(splits[2] - 2 * splits[1] + splits[0]) < 1e-9 * Math.abs(splits[2] || 1);
}

function sizeOfLabels(u, values, index, cycle) {
  const before = u.axes[index];
  if (cycle > 1) return before._size;
  if (!values) return 40;
  const longest = Math.max(...values.map((text) => (text ?? "").length), 3);
  return Math.ceil(longest * 6.6 + 16);
}
