// Curves over the steps of a training, with a cursor at the frame that is shown.

const WIDE = 360;
const HIGH = 210;
const ROOM = { left: 48, right: 14, top: 12, bottom: 26 };
const DASHES = ["", "7 3", "2 2.5", "9 3 2 3", "12 3", "4 2"];

/** Round numbers between two, about as many as asked. */
function ticks(low, high, many) {
  const rough = (high - low) / many || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((x) => x * power).find((x) => x >= rough);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) found.push(k * step);
  return found;
}

/** Powers of ten between two positive numbers, with 2 and 5 times these where they are few. */
function logTicks(low, high) {
  const found = [];
  const few = Math.log10(high / low) < 2.5;
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    for (const digit of few ? [1, 2, 5] : [1]) {
      const value = Number(`${digit}e${power}`);
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

const short = (value) =>
  value === 0 ? "0" : Math.abs(value) >= 1e4 || Math.abs(value) < 1e-3 ? value.toExponential(0).replace("e+", "e") : String(Number(value.toPrecision(3)));

/** The value of a line at a step: that of the newest point that is not after it. */
function valueAt(line, step) {
  let low = 0;
  let high = line.x.length - 1;
  if (high < 0 || line.x[0] > step) return null;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (line.x[middle] <= step) low = middle;
    else high = middle - 1;
  }
  return line.y[low];
}

/** A chart; `seek` gets the step that was clicked. The result has its element and moves its cursor. */
function chartView(chart, last, seek) {
  const all = chart.lines.flatMap((line) => line.y);
  let [low, high] = [Math.min(...all), Math.max(...all)];
  const log = low > 0 && high / low > 50;
  if (!log) {
    const room = (high - low || Math.abs(high) || 1) * 0.06;
    low = low >= 0 && low < (high - low) * 0.3 ? 0 : low - room;
    high += room;
  }
  const scale = log ? Math.log10 : (value) => value;
  const x = (step) => ROOM.left + (step / (last || 1)) * (WIDE - ROOM.left - ROOM.right);
  const y = (value) => HIGH - ROOM.bottom - ((scale(value) - scale(low)) / (scale(high) - scale(low) || 1)) * (HIGH - ROOM.top - ROOM.bottom);
  const words = chart.lines.map((line) => `${line.name} from ${number(line.y[0])} to ${number(line.y.at(-1))}`);
  const drawing = s("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": `${chart.title}: ${words.join("; ")}` });
  for (const value of log ? logTicks(low, high) : ticks(low, high, 4)) {
    drawing.append(s("path", { class: "grid", d: `M${ROOM.left} ${y(value)}H${WIDE - ROOM.right}` }));
    drawing.append(s("text", { x: ROOM.left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)));
  }
  const steps = ticks(0, last, 4);
  steps.forEach((step, k) => {
    const end = k === steps.length - 1 && x(step) > WIDE - 30;
    drawing.append(s("text", { x: end ? WIDE - ROOM.right : x(step), y: HIGH - 9, "text-anchor": end ? "end" : "middle" }, short(step)));
  });
  drawing.append(s("text", { x: ROOM.left - 6, y: HIGH - 9, "text-anchor": "end" }, "step"));
  chart.lines.forEach((line, k) => {
    const d = line.x.map((step, n) => `${n ? "L" : "M"}${x(step).toFixed(1)} ${y(line.y[n]).toFixed(1)}`).join("");
    drawing.append(s("path", { class: `curve c${k % 6}${line.faint ? " faint" : ""}`, d, "stroke-dasharray": DASHES[k % 6] }));
  });
  const cursor = s("path", { class: "cursor" });
  const dots = chart.lines.map((_, k) => s("circle", { class: `dot c${k % 6}`, r: 4 }));
  drawing.append(cursor, ...dots);
  const values = chart.lines.map(() => h("b"));
  const legend = h("p", { class: "legend" });
  chart.lines.forEach((line, k) => {
    const sample = s("svg", { viewBox: "0 0 30 10", "aria-hidden": "true" }, s("path", { class: `sample c${k % 6}`, d: "M0 5H30", "stroke-width": 3, "stroke-dasharray": DASHES[k % 6] }));
    legend.append(h("span", { class: "key" }, sample, `${line.name} `, values[k]));
  });
  const figure = h("figure", { class: "chart" }, h("figcaption", {}, chart.title), drawing, legend);
  const clicked = (event) => {
    const box = drawing.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * WIDE;
    seek(Math.max(0, Math.min(last, ((place - ROOM.left) / (WIDE - ROOM.left - ROOM.right)) * last)));
  };
  drawing.addEventListener("pointerdown", (event) => {
    drawing.setPointerCapture(event.pointerId);
    clicked(event);
  });
  drawing.addEventListener("pointermove", (event) => {
    if (drawing.hasPointerCapture(event.pointerId)) clicked(event);
  });
  return {
    element: figure,
    move(step) {
      cursor.setAttribute("d", `M${x(step)} ${ROOM.top - 4}V${HIGH - ROOM.bottom}`);
      chart.lines.forEach((line, k) => {
        const value = valueAt(line, step);
        dots[k].setAttribute("visibility", value === null || line.faint ? "hidden" : "visible");
        values[k].textContent = value === null ? "–" : number(value);
        if (value === null) return;
        dots[k].setAttribute("cx", x(step));
        dots[k].setAttribute("cy", y(value));
      });
    },
  };
}
