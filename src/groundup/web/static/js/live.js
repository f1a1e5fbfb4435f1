// The event stream: open while the page is seen, opened again after a loss where it broke off.
//
// A browser keeps at most six connections to a server open, over all tabs; a tab that nobody looks
// at gives its own back.

import { query } from "./api.js";
import { afterPause } from "./dom.js";

const listeners = new Set();
let source = null;
let last = null;
let wanted = { run: [], name: [], x: "step" };
let opened = null;
let retry = 0;

/** "connecting", "live", "lost" or "asleep". */
export let connection = "connecting";

/** Call with `{ kind, ... }`: "connection", "hello" (with `resumed`) or "change". */
export function onLive(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(event) {
  for (const listener of [...listeners]) listener(event);
}

function become(now) {
  if (connection === now) return;
  connection = now;
  tell({ kind: "connection", connection });
}

/** Say which points are wanted: ids of runs, names of series, and the axis. */
export function want(runs, names, x) {
  wanted = { run: [...runs].sort(), name: [...names].sort().slice(0, 200), x };
  if (opened !== null && opened !== query(wanted)) reopen();
}

const reopen = afterPause(250, () => {
  if (!document.hidden && opened !== query(wanted)) open();
});

/** Open the stream. */
export function open() {
  close();
  clearTimeout(retry);
  opened = query(wanted);
  source = new EventSource(`/api/events?${query({ ...wanted, after: last })}`);
  source.addEventListener("hello", (event) => {
    last = event.lastEventId;
    const hello = JSON.parse(event.data);
    become("live");
    tell({ kind: "hello", ...hello });
  });
  source.addEventListener("change", (event) => {
    last = event.lastEventId;
    tell({ kind: "change", ...JSON.parse(event.data) });
  });
  source.addEventListener("error", () => {
    become("lost");
    // The browser tries again by itself unless the server answered with an error.
    if (source?.readyState === EventSource.CLOSED) retry = setTimeout(open, 2000);
  });
}

function close() {
  source?.close();
  source = null;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    close();
    clearTimeout(retry);
    become("asleep");
  } else {
    become("connecting");
    open();
  }
});
addEventListener("pagehide", close);
