// The runs that are known here: loaded once, kept up to date by events; filtered, sorted, selected.

import * as api from "./api.js";
import { setting } from "./format.js";
import { state, update } from "./state.js";

/** Summaries by id. */
export const runs = new Map();

/** Where the list stands: "loading", "ready", or an error's words. */
export const progress = { state: "loading", words: "" };

const listeners = new Set();
let version = 0;

/** Call with the set of ids whose summaries changed; returns a function that ends it. */
export function onRuns(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(ids) {
  version += 1;
  for (const listener of [...listeners]) listener(ids);
}

/** Read all runs; those that are no longer there are forgotten. */
export async function load() {
  const seen = new Set();
  try {
    await api.runs((page) => {
      for (const run of page) {
        runs.set(run.id, run);
        seen.add(run.id);
      }
      progress.state = "ready";
      tell(new Set(page.map((run) => run.id)));
    });
  } catch (error) {
    if (!runs.size) Object.assign(progress, { state: "error", words: error.message });
    tell(new Set());
    throw error;
  }
  progress.state = "ready";
  const gone = [...runs.keys()].filter((id) => !seen.has(id));
  forget(gone);
  tell(new Set([...seen, ...gone]));
}

/** Take over what an event or an answer says of some runs. */
export function merge(summaries, gone = []) {
  for (const run of summaries) runs.set(run.id, run);
  forget(gone);
  if (summaries.length || gone.length) tell(new Set([...summaries.map((run) => run.id), ...gone]));
}

function forget(ids) {
  for (const id of ids) {
    runs.delete(id);
    slots.delete(id);
  }
  if (ids.some((id) => state.selected.includes(id))) {
    update({ selected: state.selected.filter((id) => !ids.includes(id)) });
  }
}

// Selection: the order of selection is the order in which runs are drawn and compared.

const slots = new Map();

/** The number from which colour and dash of a selected run follow; it stays while it is selected. */
export function slot(id) {
  if (!slots.has(id)) {
    const taken = new Set(slots.values());
    let free = 0;
    while (taken.has(free)) free += 1;
    slots.set(id, free);
  }
  return slots.get(id);
}

/** Selected runs that exist. */
export function selected() {
  return state.selected.map((id) => runs.get(id)).filter(Boolean);
}

export const MOST_SELECTED = 100;

/** The runs that are drawn: the selected ones, a group that logs nothing itself as its parts. */
export function drawn() {
  const found = new Map();
  for (const run of selected()) for (const one of isGroup(run) ? parts(run.id) : [run]) found.set(one.id, one);
  const shown = [...found.values()].slice(0, MOST_SELECTED);
  const kept = new Set([...state.selected, ...shown.map((run) => run.id)]);
  for (const id of [...slots.keys()]) if (!kept.has(id)) slots.delete(id);
  return shown;
}

/** Draw a run no longer; of a group that is selected, its other parts stay. */
export function drop(id) {
  const others = (group) => parts(group.id).map((run) => run.id).filter((one) => one !== id);
  const groups = selected().filter((run) => isGroup(run) && parts(run.id).some((one) => one.id === id));
  const kept = state.selected.flatMap((one) => groups.some((group) => group.id === one) ? others(runs.get(one)) : one === id ? [] : [one]);
  update({ selected: [...new Set(kept)].slice(0, MOST_SELECTED) });
}

/** Select or drop runs. */
export function select(ids, on) {
  const given = new Set(ids);
  const kept = state.selected.filter((id) => !given.has(id));
  update({ selected: on ? [...kept, ...given].slice(0, MOST_SELECTED) : kept });
}

// Groups: runs without values of their own that others are part of, such as several seeds

let kin = { of: -1, parts: new Map(), values: new Map() };

function family() {
  if (kin.of !== version) {
    kin = { of: version, parts: new Map(), values: new Map() };
    for (const run of runs.values()) {
      if (run.parent === null) continue;
      if (!kin.parts.has(run.parent)) kin.parts.set(run.parent, []);
      kin.parts.get(run.parent).push(run);
    }
    for (const some of kin.parts.values()) some.sort((a, b) => a.created - b.created);
  }
  return kin;
}

/** The runs that are part of a run, the oldest first. */
export function parts(id) {
  return family().parts.get(id) ?? [];
}

/** Whether a run only holds others together. */
export function isGroup(run) {
  return run.seed === null && !Object.keys(run.metrics).length && parts(run.id).length > 0;
}

/** The newest values of a run; of a group the means over its parts. */
export function newest(run) {
  if (!isGroup(run)) return run.metrics;
  const known = family().values;
  if (!known.has(run.id)) {
    const some = parts(run.id);
    const mean = (name) => {
      const values = some.map((one) => one.metrics[name]).filter((value) => value !== undefined);
      return values.includes(null) ? null : values.reduce((a, b) => a + b, 0) / values.length;
    };
    known.set(run.id, Object.fromEntries(metricNames(some).map((name) => [name, mean(name)])));
  }
  return known.get(run.id);
}

// Names

/** A short name: the experiment and the end of the id. */
export function shortName(run) {
  return nameParts(run).join(" ");
}

/** The experiment, and what tells its runs apart. */
export function nameParts(run) {
  const parts = /^(.*)-(\d{8})-(\d{6})-([0-9a-f]{6})$/.exec(run.id);
  return parts ? [parts[1], parts[4]] : [run.id, ""];
}

let differences = { of: null, keys: new Map() };

/** The settings in which a run differs from others of its experiment, in short: "lr 0.003". */
export function distinction(run, most = 3) {
  const known = JSON.stringify([...runs.keys()]);
  if (differences.of !== known) differences = { of: known, keys: differing() };
  return (differences.keys.get(run.experiment) ?? [])
    .filter((key) => key in run.config)
    .slice(0, most)
    .map((key) => `${key.slice(key.lastIndexOf(".") + 1)} ${setting(run.config[key])}`);
}

function differing() {
  const values = new Map();
  for (const run of runs.values()) {
    if (!values.has(run.experiment)) values.set(run.experiment, new Map());
    const known = values.get(run.experiment);
    for (const [key, value] of Object.entries(run.config)) {
      if (!known.has(key)) known.set(key, new Set());
      known.get(key).add(value);
    }
  }
  return new Map([...values].map(([name, known]) => [name, [...known].filter(([, set]) => set.size > 1).map(([key]) => key)]));
}

// Filtering and sorting

/** Runs that fit all filters, sorted. */
export function visible() {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [...runs.values()].filter(
    (run) =>
      (!state.experiment || run.experiment === state.experiment) &&
      (!state.status || run.status === state.status) &&
      (!state.tag || run.tags.includes(state.tag)) &&
      words.every((word) => haystack(run).includes(word)),
  );
  const value = column(state.sort);
  const sign = state.down ? -1 : 1;
  return found.sort((a, b) => compare(value(a), value(b), sign) || b.created - a.created || (a.id < b.id ? -1 : 1));
}

const haystacks = new WeakMap();

function haystack(run) {
  let text = haystacks.get(run);
  if (text === undefined) {
    const settings = Object.entries(run.config).map(([key, value]) => `${key}=${value}`);
    text = [run.id, run.experiment, run.status, run.note, run.parent, `seed=${run.seed}`, ...run.tags, ...settings].join("\n").toLowerCase();
    haystacks.set(run, text);
  }
  return text;
}

/** A function that gives the value of a column: a field, "metric:loss" or "config:lr". */
export function column(key) {
  if (key.startsWith("metric:")) return (run) => newest(run)[key.slice(7)];
  if (key.startsWith("config:")) return (run) => run.config[key.slice(7)];
  if (key === "tags") return (run) => run.tags.join(" ");
  return (run) => run[key];
}

/** Numbers before texts; what is missing comes last in either direction. */
function compare(a, b, sign) {
  const missing = (value) => value === null || value === undefined || value === "";
  if (missing(a) || missing(b)) return Number(missing(a)) - Number(missing(b));
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  if (typeof a !== typeof b) return typeof a === "number" ? -sign : sign;
  return sign * String(a).localeCompare(String(b), "en", { numeric: true });
}

/** All values of a field among all runs, in alphabetical order. */
export function values(field) {
  return [...new Set([...runs.values()].flatMap((run) => run[field]))].sort();
}

/** Names of the metrics that some runs have, those that most have first. */
export function metricNames(some) {
  return byFrequency(some.flatMap((run) => Object.keys(newest(run))));
}

/** Names of the settings that some runs have. */
export function settingNames(some) {
  return byFrequency(some.flatMap((run) => Object.keys(run.config)));
}

function byFrequency(names) {
  const counts = new Map();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || a.localeCompare(b, "en", { numeric: true }));
}
