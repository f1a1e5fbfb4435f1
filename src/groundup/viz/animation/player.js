// The player: which training, which frame, which input; time, buttons, keys.

const data = JSON.parse(byId("data").textContent);
const SPEEDS = [0.25, 0.5, 1, 2, 4];
const FRAMES_A_SECOND = 10;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const state = { film: -1, frame: 0, example: 0, playing: false, speed: calm.matches ? 0.25 : 1 };
const views = new Map(); // of films that were shown: how they draw their network
let current = null; // how the panels of the film draw
let markFilm = () => {};

const ICONS = {
  first: "M5 4h2.5v16H5zM19 4v16L8.5 12z",
  back: "M15.5 4v16L5 12zM17 4h2.5v16H17z",
  play: "M7 3.5v17L20.5 12z",
  pause: "M6 4h4.5v16H6zM13.5 4H18v16h-4.5z",
  forward: "M8.5 4v16L19 12zM4.5 4H7v16H4.5z",
  last: "M16.5 4H19v16h-2.5zM5 4v16l10.5-8z",
};

function icon(button, name) {
  button.replaceChildren(s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: ICONS[name] })));
}

const film = () => data.films[state.film];
const lastFrame = () => film().steps.length - 1;

/** The frame nearest to a step. */
function frameAt(steps, step) {
  let best = 0;
  steps.forEach((value, k) => {
    if (Math.abs(value - step) < Math.abs(steps[best] - step)) best = k;
  });
  return best;
}

/** Everything that is told about the frame in words. */
function words() {
  const { steps, epochs, charts } = film();
  const epoch = epochs[state.frame];
  const found = [`Step ${count(steps[state.frame])} of ${count(steps.at(-1))}`];
  if (epoch !== null) found.push(`epoch ${Number.isInteger(epoch) ? epoch : epoch.toFixed(1)}`);
  for (const chart of charts.slice(0, 2)) {
    const known = chart.lines.filter((line) => valueAt(line, steps[state.frame]) !== null);
    const shown = known.filter((line) => !line.faint);
    for (const line of shown.length ? shown : known) {
      const name = chart.lines.length > 1 ? `${line.name} ` : "";
      const value = number(valueAt(line, steps[state.frame]));
      found.push(`${name}${chart.title.replace(/ \(.*/, "").toLowerCase()} ${value}`);
    }
  }
  return found;
}

function draw() {
  current.forEach((view) => view(state.frame, state.example));
  const told = words();
  byId("readout").textContent = told.join(" · ");
  byId("printed").textContent = `${film().name}: ${told.join(" · ")}`;
  const time = byId("time");
  time.value = state.frame;
  time.setAttribute("aria-valuetext", told.slice(0, 2).join(", "));
}

function show(frame) {
  const next = Math.max(0, Math.min(lastFrame(), frame));
  if (next === state.frame) return;
  state.frame = next;
  draw();
}

function seek(frame) {
  pause();
  show(frame);
}

const seekStep = (step) => seek(frameAt(film().steps, step));

// Time

let before = 0;
let due = 0;

function tick(now) {
  if (!state.playing) return;
  due += ((now - before) / 1000) * FRAMES_A_SECOND * state.speed;
  before = now;
  const steps = Math.floor(due);
  if (steps > 0) {
    due -= steps;
    show(state.frame + steps);
    if (state.frame === lastFrame()) {
      pause();
      return;
    }
  }
  requestAnimationFrame(tick);
}

function play() {
  if (state.frame === lastFrame()) show(0);
  state.playing = true;
  [before, due] = [performance.now(), 0];
  told();
  requestAnimationFrame(tick);
}

function pause() {
  if (!state.playing) return;
  state.playing = false;
  told();
}

/** The button says what it would do; while it plays, a reader is not told every frame. */
function told() {
  const button = byId("play");
  icon(button, state.playing ? "pause" : "play");
  button.setAttribute("aria-label", state.playing ? "Pause" : "Play");
  byId("readout").setAttribute("aria-live", state.playing ? "off" : "polite");
}

const toggle = () => (state.playing ? pause() : play());

function setSpeed(speed) {
  state.speed = speed;
  byId("speed").value = String(speed);
}

function changeSpeed(by) {
  const place = SPEEDS.indexOf(state.speed) + by;
  setSpeed(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, place))]);
}

// Which training, which input

function showFilm(number) {
  const step = state.film < 0 ? 0 : film().steps[state.frame];
  state.film = number;
  const chosen = film();
  state.frame = frameAt(chosen.steps, step);
  state.example = Math.max(0, Math.min(state.example, chosen.examples.length - 1));
  const kept = new Map();
  const arrays = (name) => {
    if (!kept.has(name)) kept.set(name, chosen.arrays[name] ? unpack(chosen.arrays[name]) : null);
    return kept.get(name);
  };
  for (const drawing of document.querySelectorAll(".drawing")) drawing.hidden = Number(drawing.dataset.film) !== number;
  if (!views.has(number)) views.set(number, networkView(chosen, document.querySelector(`.drawing[data-film="${number}"]`), arrays));
  byId("notes").replaceChildren(...chosen.notes.map((note) => h("p", { class: "note" }, note)));
  const outputs = arrays("outputs");
  const followed = chosen.examples.length > 0 && (outputs !== null || chosen.network !== null);
  byId("outputs").hidden = !followed;
  const markExample = followed ? examplePicker(chosen, showExample) : () => {};
  const charts = chosen.charts.filter((chart) => chart.lines.length).map((chart) => chartView(chart, chosen.steps.at(-1), seekStep));
  byId("charts").replaceChildren(...charts.map((chart) => chart.element));
  byId("curves").hidden = !charts.length;
  byId("network").hidden = !chosen.network && !chosen.notes.length;
  byId("time").max = lastFrame();
  current = [
    views.get(number),
    surfaceView(chosen, arrays),
    outputsView(chosen, outputs, seek, seekStep),
    (frame) => charts.forEach((chart) => chart.move(chosen.steps[frame])),
    (_, example) => markExample(example),
  ];
  markFilm(number);
  draw();
}

function showExample(example) {
  state.example = example;
  draw();
}

// Buttons and keys

const ACTIONS = {
  first: () => seek(0),
  back: () => seek(state.frame - 1),
  play: toggle,
  forward: () => seek(state.frame + 1),
  last: () => seek(lastFrame()),
};

const KEYS = {
  " ": toggle,
  ArrowLeft: ACTIONS.back,
  ArrowRight: ACTIONS.forward,
  Home: ACTIONS.first,
  End: ACTIONS.last,
  "+": () => changeSpeed(1),
  "=": () => changeSpeed(1),
  "-": () => changeSpeed(-1),
  "−": () => changeSpeed(-1),
};

/** Whether an element does something of its own with a key. */
function taken(element, key) {
  if (element.closest("select, summary")) return true;
  if (element.type === "radio") return key === " " || key.startsWith("Arrow");
  if (element.tagName === "BUTTON") return key === " ";
  if (element.type === "range") return key.startsWith("Arrow") || key === "Home" || key === "End";
  return element.classList.contains("scroll") && key.startsWith("Arrow") && element.scrollWidth > element.clientWidth;
}

function pressed(event) {
  const action = KEYS[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey || taken(event.target, event.key)) return;
  event.preventDefault();
  action();
}

for (const [name, action] of Object.entries(ACTIONS)) {
  icon(byId(name), name);
  byId(name).addEventListener("click", action);
}
byId("time").addEventListener("input", (event) => seek(Number(event.target.value)));
byId("speed").append(...SPEEDS.map((speed) => h("option", { value: speed }, `${speed}×`)));
byId("speed").addEventListener("change", (event) => setSpeed(Number(event.target.value)));
setSpeed(state.speed);
document.addEventListener("keydown", pressed);
if (data.films.length > 1) {
  byId("films").hidden = false;
  markFilm = choices(byId("films"), "film", data.films.map((one) => one.name), (k) => [data.films[k].name], showFilm);
}
told();
showFilm(0);
