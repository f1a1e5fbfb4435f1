// The network: what changes from frame to frame in the drawing that the page came with.

/** Give a drawing its moving parts; the result draws a frame for an example. */
function networkView(film, root, arrays) {
  const told = film.network;
  if (!told) return () => {};
  root.style.setProperty("--dash", told.dash.split(" ").map((x) => `${x}px`).join(" "));
  const groups = (kind) => [...root.querySelectorAll(`.network-${kind}`)];
  const [weights, nodes, pictures, hidden, bars] = ["weights", "nodes", "pictures", "hidden", "histogram"].map(groups);
  const parts = [];
  const columns = [];
  told.stages.forEach((stage, i) => {
    if (stage.block) {
      columns.push(null);
      for (const kind of ["kernels", "maps"]) {
        const array = arrays(`${kind}.${i}`);
        if (array) parts.push(picturesView(pictures.shift(), array, kind === "maps", told.full));
      }
      return;
    }
    const column = { ...stage, circles: [...nodes[0].querySelectorAll("circle")], group: nodes.shift() };
    column.name = (k) => (i === told.stages.length - 1 && told.names[column.nodes[k]]) || `node ${column.nodes[k] + 1}`;
    columns.push(column);
    const weight = arrays(`weight.${i}`);
    if (weight) parts.push(linesView(weights.shift(), weight, columns[i - 1], column, told));
    if (stage.histogram) parts.push(histogramView(bars.shift(), arrays(`histogram.${i}`), stage.histogram));
    const values = arrays(`values.${i}`);
    parts.push(nodesView(column, values, told.limits[i], told.full));
    const bias = arrays(`bias.${i}`);
    if (bias) parts.push(biasView(column, bias));
    if (values && stage.nodes.length < stage.size && values.shape[2] === stage.size) {
      const left = [...Array(stage.size).keys()].filter((j) => !stage.nodes.includes(j));
      parts.push(hiddenView(hidden.shift(), values, left, told.full));
    }
  });
  return (frame, example) => parts.forEach((draw) => draw(frame, example));
}

const spot = (circle) => ["cx", "cy", "r"].map((name) => Number(circle.getAttribute(name)));

function linesView(group, weight, before, after, told) {
  const steps = told.widths.length - 1;
  const lines = [];
  after.circles.forEach((end, i) => {
    before.circles.forEach((start, j) => {
      const d = `M${before.right} ${spot(start)[1]}L${after.left} ${spot(end)[1]}`;
      const line = s("path", { d });
      line.ends = `${before.name(j)} → ${after.name(i)}`;
      lines.push(line);
    });
  });
  group.append(...lines);
  const looks = new Array(lines.length);
  let shown = 0;
  group.addEventListener("pointerover", (event) => {
    const k = lines.indexOf(event.target);
    if (k >= 0) event.target.replaceChildren(s("title", {}, `${event.target.ends}: ${number(weight.at(shown + k))}`));
  });
  return (frame) => {
    shown = weight.start(frame);
    for (let k = 0; k < lines.length; k += 1) {
      const share = weight.share(shown + k);
      const step = Math.round(Math.abs(share) * steps);
      const look = `${sign(share)} ${step}`;
      if (looks[k] === look) continue;
      looks[k] = look;
      set(lines[k], "class", sign(share));
      lines[k].setAttribute("stroke-width", told.widths[step]);
      lines[k].setAttribute("stroke-opacity", told.opacities[step]);
    }
  };
}

function histogramView(group, heights, [left, top, wide, high]) {
  const bars = heights.shape[1];
  const step = wide / bars;
  const drawn = [];
  for (let k = 0; k < bars; k += 1) {
    const look = { x: left + k * step, width: step - 0.6, class: k < bars / 2 ? "negative" : "positive" };
    drawn.push(s("rect", look));
  }
  group.prepend(...drawn);
  return (frame) => {
    const start = heights.start(frame);
    drawn.forEach((bar, k) => {
      const share = heights.share(start + k);
      const tall = share > 0 ? Math.max(0.6, high * share) : 0;
      bar.setAttribute("y", top + high - tall);
      bar.setAttribute("height", tall);
    });
  };
}

function nodesView(column, values, limit, full) {
  const marks = column.circles.map((circle) => {
    const [x, y, r] = spot(circle);
    if (r >= 12) return s("text", { x, y: y + 3.3, "text-anchor": "middle", stroke: "none" });
    return s("path", { d: `M${x - r / 2} ${y}h${r}`, class: "minus" });
  });
  if (values) column.circles.forEach((circle, k) => circle.after(marks[k]));
  else column.circles.forEach((circle) => circle.setAttribute("fill", "none"));
  const titles = column.circles.map((circle, k) => {
    const title = s("title", {}, column.name(k));
    circle.append(title);
    return title;
  });
  if (!values) return () => {};
  const whole = values.shape[2] === column.size;
  return (frame, example) => {
    const start = values.start(frame, example);
    column.circles.forEach((circle, k) => {
      const place = start + (whole ? column.nodes[k] : k);
      const share = values.share(place);
      set(circle, "class", sign(share));
      set(circle, "fill-opacity", (full * Math.abs(share)).toFixed(3));
      const words = number(share * limit);
      titles[k].textContent = `${column.name(k)}: ${words}`;
      const mark = marks[k];
      if (mark.tagName === "text") {
        mark.textContent = words;
        set(mark, "font-size", Math.min(9.5, (1.75 * spot(circle)[2]) / (0.64 * words.length)).toFixed(1));
      } else set(mark, "visibility", share < -0.1 ? "visible" : "hidden");
    });
  };
}

function biasView(column, bias) {
  const marks = column.circles.map(() => s("path", { class: "bias" }));
  column.group.after(s("g", { class: "network-biases" }, ...marks));
  return (frame) => {
    const start = bias.start(frame);
    marks.forEach((mark, k) => {
      const share = bias.share(start + k);
      let [x, y, r] = spot(column.circles[k]);
      const side = share ? Math.max(2.4, Math.min(1.1 * r, 11)) * (0.5 + 0.5 * Math.abs(share)) : 0;
      [x, y] = [x + 0.85 * r, y - 0.85 * r];
      const up = share > 0 ? -1 : 1;
      const corners = `M${x - side / 2} ${y - up * side * 0.43}h${side}l${-side / 2} ${up * side * 0.87}z`;
      mark.setAttribute("d", corners);
      set(mark, "class", `bias ${sign(share)}`);
    });
  };
}

/** The cells of one picture, in front of whose frame they are put; a dash marks what is negative. */
function cells(group, places, columns, full) {
  const frame = group.lastElementChild;
  const drawn = places.map((_, k) => s("rect", { x: k % columns, y: Math.floor(k / columns), width: 1, height: 1 }));
  const minus = s("path", { class: "minus", "stroke-width": 0.16 });
  frame.before(...drawn, minus);
  const large = /scale\(([\d.]+)/.exec(group.getAttribute("transform"));
  const room = large && Number(large[1]) >= 4;
  return (array, start) => {
    let dashes = "";
    drawn.forEach((cell, k) => {
      const share = array.share(start + places[k]);
      set(cell, "class", sign(share));
      set(cell, "fill-opacity", (full * Math.abs(share)).toFixed(2));
      if (room && share < -0.15) dashes += `M${(k % columns) + 0.25} ${Math.floor(k / columns) + 0.5}h.5`;
    });
    minus.setAttribute("d", dashes);
  };
}

function picturesView(group, array, ofExample, full) {
  const [, width] = array.shape.slice(-2);
  const size = array.shape.at(-1) * array.shape.at(-2);
  const places = [...Array(size).keys()];
  const drawn = [...group.children].map((picture) => cells(picture, places, width, full));
  return (frame, example) => {
    const start = ofExample ? array.start(frame, example) : array.start(frame);
    drawn.forEach((draw, k) => draw(array, start + k * size));
  };
}

function hiddenView(group, values, places, full) {
  const picture = group.firstElementChild;
  const columns = Number(picture.lastElementChild.getAttribute("width"));
  const draw = cells(picture, places, columns, full);
  return (frame, example) => draw(values, values.start(frame, example));
}
