// The live page: asks once a second for the figures, less often for the latest requests.
//
// A page that nobody looks at asks for nothing. Text is only ever set as text.

import { fill, h, icon, s } from "../shared/js/dom.js";
import { count, duration, number, plural } from "../shared/js/format.js";
import { chart } from "./charts.js";

const EVERY = 1000;
const LATEST = 9;
const PATIENCE = 5000;
const SHORT = 10; // characters of a name; `finch why` finds a request by them
const NAMES = { pass: "passed on", forward: "forwarded", audit: "audited", local: "answered locally" };
const THEMES = { system: "The system's colours", light: "Light", dark: "Dark" };
const at = (id) => document.getElementById(id);
const charts = { forward: chart(at("forward"), at("forward-key")), error: chart(at("error"), at("error-key")) };
let seen = null;
let latest = null;

function percent(share, digits = 1) {
  if (share === null || share === undefined) return "–";
  const value = share * 100;
  return `${value.toLocaleString("en", { maximumFractionDigits: value < 10 ? digits + 1 : digits })}\u00a0%`;
}

function milliseconds(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  return seconds < 1 ? `${number(seconds * 1000, 3)} ms` : duration(seconds);
}

function money(value, currency) {
  const digits = value < 100 ? 2 : 0;
  return `${value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${currency}`;
}

// Figures

function figure(title, value, ...below) {
  return h("div", { class: "card figure" }, h("h2", {}, title), h("strong", {}, value), below.flat());
}

/** Observed error as a bar, its bound as a dashed frame, what is allowed as a line. */
function meter(error, bound, limit) {
  const most = Math.max(limit * 1.6, error ?? 0, Math.min(bound ?? 0, limit * 3)) || 1;
  const x = (value) => `${Math.min(100, (value / most) * 100)}%`;
  return s(
    "svg",
    { class: "meter", "aria-hidden": "true" },
    s("rect", { class: "ground", x: 0.5, y: 2.5, width: "100%", height: 7 }),
    error === null ? null : s("rect", { class: "full", x: 0, y: 2, width: x(error), height: 8 }),
    bound === null ? null : s("rect", { class: "bound", x: 0.75, y: 2.75, width: x(bound), height: 6.5 }),
    s("line", { class: "mark", x1: x(limit), x2: x(limit), y1: 0, y2: 12 }),
  );
}

/** The error of the task whose bound is the largest, beside that bound. */
function worstFigure({ worst, audits, limit, tasks }) {
  const { error, bound } = worst ?? { error: null, bound: null };
  const name = worst && h("code", { title: `task ${worst.task}, scope ${worst.scope}` }, worst.task.slice(0, SHORT));
  return figure(
    "Error, worst task",
    [percent(error), h("small", {}, ` of ${percent(limit)}`)],
    meter(error, bound, limit),
    verdict(error, bound, limit),
    h("p", {}, worst ? ["observed in audits of ", name, ", the task with the largest bound"] : "no task has been audited"),
    tasks.length > 1 ? h("p", {}, `all tasks together: ${percent(audits.error)}`) : null,
  );
}

function verdict(error, bound, limit) {
  if (bound === null) return h("p", { class: "verdict open" }, icon("queued"), "no bound yet");
  if (bound >= 1) return h("p", { class: "verdict open" }, icon("queued"), "too few audits for a bound");
  if (bound <= limit) return h("p", { class: "verdict good" }, icon("done"), `bound ${percent(bound)} is under ${percent(limit)}`);
  return h("p", { class: "verdict bad" }, icon("failed"), error > limit ? `over the allowed ${percent(limit)}` : `bound ${percent(bound)} is over ${percent(limit)}`);
}

function savings({ requests, input_tokens, output_tokens, unpriced, money: cost, currency }) {
  const tokens = `${count(input_tokens + output_tokens)} tokens`;
  const sum = cost === null ? tokens : money(cost, currency);
  const note = cost === null ? "no prices are set: [prices] in the settings" : unpriced ? `${count(unpriced)} without a price` : null;
  return figure(
    "Not sent upstream",
    sum,
    h("p", {}, cost === null ? plural(requests, "request") : `${tokens} in ${plural(requests, "request")}`),
    h("p", {}, `${count(input_tokens)} in, ${count(output_tokens)} out, estimated`),
    note ? h("p", {}, note) : null,
  );
}

function drawFigures(now) {
  const { recent, audits, queue, requests } = now;
  const judged = audits.agreed + audits.disagreed;
  const all = Object.values(requests).reduce((a, b) => a + b, 0);
  fill(
    at("figures"),
    figure(
      "Answered locally",
      percent(recent.local_rate),
      h("p", {}, `of the last ${plural(recent.requests, "request")}`),
      h("p", {}, `${count(requests.local)} of ${count(all)} since the start`),
    ),
    figure(
      "Forward rate",
      percent(recent.forward_rate),
      h("p", {}, `of the last ${count(recent.eligible)} that might be answered locally`),
      h("p", {}, `${count(requests.pass)} since the start are of kinds that never are`),
    ),
    figure(
      "Agreement",
      percent(audits.agreement),
      h("p", {}, judged ? `${count(audits.agreed)} of ${plural(judged, "audit")}` : "no audit yet"),
      h("p", {}, "local answers that were as good as the remote ones"),
    ),
    worstFigure(now),
    savings(now.saved),
    figure(
      "Waiting to be learned",
      [count(queue.waiting), h("small", {}, ` of ${count(queue.most)}`)],
      h("p", { class: "verdict " + (now.learning ? "good" : "open") }, icon(now.learning ? "done" : "stopped"), now.learning ? "learning" : "learning is paused"),
      h("p", {}, queue.dropped ? `${count(queue.dropped)} were dropped, because too many waited` : "none was dropped"),
    ),
  );
}

/** What the chart of errors ends at: room for what is, but not for the bounds of the first audits. */
function room(worst, limit) {
  const most = Math.max(0.02, limit * 3, (worst?.error ?? 0) * 1.3, Math.min(worst?.bound ?? 0, limit * 8) * 1.1);
  const steps = most > 0.2 ? 10 : 20;
  return Math.min(1, Math.ceil(most * steps) / steps);
}

// Tables

function table(element, headers, rows, none) {
  fill(
    element,
    h("thead", {}, h("tr", {}, headers.map(([text, kind, title]) => h("th", { scope: "col", class: kind, title }, text)))),
    h(
      "tbody",
      {},
      rows.length
        ? rows.map((cells) => h("tr", {}, cells.map((cell, i) => h("td", { class: headers[i][1] }, cell))))
        : h("tr", { class: "empty-row" }, h("td", { colspan: headers.length }, none)),
    ),
  );
}

function drawStages(stages) {
  const rows = Object.entries(stages).map(([name, one]) => [name, milliseconds(one.p50), milliseconds(one.p99), count(one.count)]);
  table(at("stages"), [["stage"], ["p50", "number"], ["p99", "number"], ["count", "number"]], rows, "Nothing was timed yet.");
}

function drawTasks(tasks, limit) {
  const headers = [["task"], ["model"], ["state"], ["requests", "number"], ["local", "number"], ["audits", "number"], ["disagreed", "number"], ["error", "number", "observed in audits, since answers last changed"], ["bound", "number", `of that error; allowed: ${percent(limit)}`]];
  const rows = tasks.map((one) => [
    h("code", { title: `scope ${one.scope}` }, one.task),
    one.model,
    one.state,
    count(one.requests),
    one.requests ? percent(one.local / one.requests) : "–",
    count(one.audits),
    count(one.wrong),
    percent(one.error),
    percent(one.bound),
  ]);
  table(at("tasks"), headers, rows, "No task yet. Point a client at this server, and each kind of request becomes one.");
}

function drawLatest(rows) {
  const cells = rows.map((row) => [
    new Date(row.time * 1000).toLocaleTimeString([], { hour12: false }),
    h("code", { title: row.ident }, row.ident.slice(0, SHORT)),
    // What was not good enough to be served says nothing by being wrong.
    NAMES[row.decision] + (row.decision !== "audit" || row.agreed === null ? "" : row.agreed ? ", agreed" : ", disagreed"),
    row.reason,
    row.score === null ? "–" : row.score.toFixed(2),
  ]);
  table(at("latest"), [["time"], ["request"], ["what became of it"], ["why", "reason"], ["score", "number"]], cells, "No request yet.");
}

// All of it

function draw(now) {
  seen = now;
  drawFigures(now);
  const { requests, forward, error, bound } = now.history;
  charts.forward.draw(requests, [{ name: "forward rate", values: forward, now: percent(now.recent.forward_rate) }], { most: 1 });
  charts.error.draw(
    requests,
    [
      { name: "observed", values: error, now: percent(now.worst?.error) },
      { name: "bound", values: bound, now: percent(now.worst?.bound) },
      { name: "allowed", values: requests.map(() => now.limit), now: percent(now.limit) },
    ],
    { most: room(now.worst, now.limit) },
  );
  drawStages(now.stages);
  drawTasks(now.tasks, now.limit);
  const version = now.version ? `version ${now.version}, ` : "";
  at("state").textContent = `${version}up for ${duration(Math.max(0, now.time - now.started))}, error allowed ${percent(now.limit)}`;
  at("troubles").hidden = now.troubles.length === 0;
  fill(at("troubles"), now.troubles.map((words) => h("p", {}, words)));
  document.title = now.recent.local_rate === null ? "Finch" : `${percent(now.recent.local_rate, 0)} local · Finch`;
  at("main").removeAttribute("aria-busy");
}

function connection(state, words) {
  const element = at("connection");
  if (element.dataset.state === state) return;
  element.dataset.state = state;
  element.textContent = words;
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE) });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

async function refresh() {
  if (!document.hidden) {
    try {
      const now = await ask("snapshot.json");
      const total = Object.values(now.requests).reduce((a, b) => a + b, 0);
      if (total !== latest) {
        drawLatest((await ask(`log?limit=${LATEST}`)).requests);
        latest = total;
      }
      draw(now);
      connection("live", "live");
    } catch {
      connection("lost", "no answer");
    }
  }
  setTimeout(refresh, EVERY);
}

// The theme is the one that was chosen for the dashboard of runs, if they share an address.

let chosen = document.documentElement.dataset.theme ?? "system";

function showTheme() {
  fill(at("theme"), icon({ system: "system", light: "sun", dark: "moon" }[chosen]));
  at("theme").setAttribute("aria-label", `Colours: ${THEMES[chosen]}`);
  at("theme").title = `Colours: ${THEMES[chosen]}`;
}

at("theme").addEventListener("click", () => {
  const order = Object.keys(THEMES);
  chosen = order[(order.indexOf(chosen) + 1) % order.length];
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  try {
    localStorage.setItem("groundup.theme", JSON.stringify(chosen));
  } catch {
    // storage is blocked: it lasts as long as the page
  }
  showTheme();
  repaint();
});

function repaint() {
  for (const one of Object.values(charts)) one.forget();
  if (seen) draw(seen);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
showTheme();
refresh();
