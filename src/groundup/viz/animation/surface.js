// The decision surface of a model with two inputs: colours, contours, and the data.

const SIDE = 320;
const GAP = 36;
const SHAPES = [
  (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (x, y, r) => `M${x - 0.9 * r} ${y - 0.9 * r}h${1.8 * r}v${1.8 * r}h${-1.8 * r}z`,
  (x, y, r) => `M${x} ${y - 1.2 * r}L${x + 1.1 * r} ${y + 0.8 * r}H${x - 1.1 * r}z`,
  (x, y, r) => `M${x} ${y - 1.3 * r}l${1.3 * r} ${1.3 * r}l${-1.3 * r} ${1.3 * r}l${-1.3 * r} ${-1.3 * r}z`,
  (x, y, r) => `M${x} ${y + 1.2 * r}L${x + 1.1 * r} ${y - 0.8 * r}H${x - 1.1 * r}z`,
];
const HUES = ["#D55E00", "#0072B2", "#009E73", "#CC79A7", "#B8960C", "#5C5F66"];

/** Lines where a function on a grid (n, n) has a value: one piece for each cell that it crosses. */
function contour(value, n, level, place) {
  let d = "";
  for (let row = 0; row < n - 1; row += 1) {
    for (let column = 0; column < n - 1; column += 1) {
      const corners = [[row, column], [row, column + 1], [row + 1, column + 1], [row + 1, column]];
      const at = corners.map(([r, c]) => value(r * n + c) - level);
      const crossed = [];
      for (let k = 0; k < 4; k += 1) {
        const [a, b] = [at[k], at[(k + 1) % 4]];
        if (a > 0 === b > 0) continue;
        const share = a / (a - b);
        const [from, to] = [corners[k], corners[(k + 1) % 4]];
        crossed.push(place(from[1] + share * (to[1] - from[1]), from[0] + share * (to[0] - from[0])));
      }
      for (let k = 0; k + 1 < crossed.length; k += 2) d += `M${crossed[k]}L${crossed[k + 1]}`;
    }
  }
  return d;
}

/** The panel; the result draws a frame and marks an example. */
function surfaceView(film, arrays) {
  byId("surface").hidden = !film.surface;
  if (!film.surface) return () => {};
  const { range, points, targets, middle, spread, labelled } = film.surface;
  const surface = arrays("surface");
  const winner = arrays("winner");
  const n = surface.shape[1];
  const [[x0, x1], [y0, y1]] = range;
  const across = (x) => GAP + ((x - x0) / (x1 - x0)) * SIDE;
  const down = (y) => ((y1 - y) / (y1 - y0)) * SIDE;
  const place = (column, row) => `${(GAP + (column / (n - 1)) * SIDE).toFixed(1)} ${((row / (n - 1)) * SIDE).toFixed(1)}`;
  const canvas = h("canvas", { width: n, height: n, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  const image = context.createImageData(n, n);
  const [low, high] = [-GAP, SIDE + GAP];
  const drawing = s("svg", { viewBox: `0 -2 ${GAP + SIDE + 2} ${SIDE + GAP}`, role: "img" });
  for (const [text, x, y, anchor] of [
    [number(x0), GAP, SIDE + 14, "start"], [number(x1), GAP + SIDE, SIDE + 14, "end"], ["input 1", GAP + SIDE / 2, SIDE + 14, "middle"],
    [number(y0), GAP - 4, SIDE, "end"], [number(y1), GAP - 4, 10, "end"],
  ]) drawing.append(s("text", { x, y, "text-anchor": anchor }, text));
  drawing.append(s("text", { transform: `translate(${GAP - 8} ${SIDE / 2}) rotate(-90)`, "text-anchor": "middle" }, "input 2"));
  const lines = [-0.5, 0.5, 0].map((side) => ({ side, line: s("path", { class: side ? "contour side" : "contour" }) }));
  drawing.append(...lines.map(({ line }) => line), s("rect", { class: "frame", x: GAP, y: 0, width: SIDE, height: SIDE }));
  const classes = [...new Set(targets)].sort((a, b) => a - b);
  const kind = (target) => (labelled ? classes.indexOf(target) : 0);
  const colour = (k) => (film.classes.length > 2 || classes.length > 2 ? HUES[k % 6] : `var(--${k ? "positive" : "negative"})`);
  points.forEach(([x, y], k) => {
    const type = kind(targets[k]);
    const mark = s("path", { class: "point", d: SHAPES[type % 5](across(x), down(y), points.length > 30 ? 3.4 : 6) });
    mark.style.fill = colour(type);
    drawing.append(mark);
  });
  const ring = s("circle", { class: "ring", r: points.length > 30 ? 8 : 11 });
  drawing.append(ring);
  byId("plane").replaceChildren(canvas, drawing);
  const share = (value) => `${(100 * value).toFixed(3)}%`;
  Object.assign(canvas.style, { left: share(GAP / (GAP + SIDE + 2)), top: share(2 / (SIDE + GAP)), width: share(SIDE / (GAP + SIDE + 2)), height: share(SIDE / (SIDE + GAP)) });
  const words = byId("surface-words");
  words.replaceChildren();
  if (labelled) {
    classes.forEach((target, k) => {
      const sample = s("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, s("path", { d: SHAPES[k % 5](5, 5, 3.6) }));
      sample.firstChild.style.fill = colour(k);
      words.append(h("span", { class: "key" }, sample, film.classes.length ? `class ${film.classes[target] ?? target}` : `target ${number(target)}`));
    });
  }
  const line = winner ? "where the likeliest class changes" : film.surface.probability ? "probability 0.5, dashed 0.25 and 0.75" : `output ${number(middle)}`;
  words.append(h("span", { class: "line" }, `Line: ${line}.`));
  drawing.setAttribute("aria-label", `Decision surface with ${points.length} points. ${words.textContent}`);
  const hues = HUES.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return (frame, example) => {
    const start = surface.start(frame);
    const value = (k) => surface.at(start + k);
    const which = winner ? (k) => Math.round(winner.at(start + k)) : null;
    for (let k = 0; k < n * n; k += 1) {
      const away = (value(k) - middle) / spread;
      const hue = hues[which ? which(k) % 6 : away > 0 ? 1 : 0];
      const strength = which ? 0.12 + 0.5 * value(k) : 0.62 * Math.min(1, Math.abs(away));
      image.data.set([...hue, Math.round(255 * strength)], 4 * k);
    }
    context.putImageData(image, 0, 0);
    for (const { side, line: path } of lines) {
      // Of each class a function that is positive where it is the likeliest, and 0 at its border.
      const border = (c) => contour((k) => (which(k) === c ? value(k) : -value(k)), n, 0, place);
      if (which) path.setAttribute("d", side ? "" : film.classes.map((_, c) => border(c)).join(""));
      else if (side && !film.surface.probability) path.setAttribute("d", "");
      else path.setAttribute("d", contour(value, n, middle + side * spread, place));
    }
    const text = film.examples[example];
    const at = text ? film.surface.chosen?.[example] : null;
    ring.setAttribute("visibility", at ? "visible" : "hidden");
    if (at) {
      ring.setAttribute("cx", Math.max(low, Math.min(high, across(at[0]))));
      ring.setAttribute("cy", down(at[1]));
    }
  };
}
