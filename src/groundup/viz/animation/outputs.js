// What the model gives for the chosen input: probabilities now and over time, or numbers.

const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)}\u00a0%`;
const MOST_ROWS = 12;

/** How an example is called: by its class where there are classes. */
function exampleName(film, k) {
  const { name, text, target } = film.examples[k];
  const true_ = film.classes.length ? film.classes[target[0]] : null;
  const same = film.examples.slice(0, k + 1).filter((one) => one.target[0] === target[0]).length;
  if (true_ !== null && film.examples.every((one, j) => j === k || one.target[0] !== target[0])) return `class ${true_}`;
  if (true_ !== null) return `class ${true_}, example ${same}`;
  return text || name;
}

/** Buttons for the examples; the result marks the chosen one. */
function examplePicker(film, changed) {
  const labels = film.examples.map((_, k) => exampleName(film, k));
  return choices(byId("examples"), "example", labels, (k) => {
    const { picture, text, target } = film.examples[k];
    const name = film.classes.length ? film.classes[target[0]] : "";
    if (!picture) return [h("span", { class: "words" }, text || name || String(k + 1))];
    const array = unpack(picture);
    const [height, width] = picture.shape;
    const canvas = inkCanvas(array.share, height, width, { class: "ink thumb", "aria-hidden": "true" });
    return [canvas, name];
  }, changed);
}

/** The panel below the buttons; the result draws a frame for an example. */
function outputsView(film, array, seekFrame, seekStep) {
  const place = byId("given");
  place.replaceChildren();
  if (!array) return () => {};
  if (film.classes.length) return classesView(film, array, place, seekFrame);
  return numbersView(film, array, place, seekStep);
}

function classesView(film, array, place, seekFrame) {
  const [frames, , many] = array.shape;
  // Of many classes, those that are likely at some time for some example.
  const highest = film.classes.map((_, c) => {
    let most = 0;
    for (let k = c; k < array.raw.length; k += many) most = Math.max(most, array.raw[k]);
    return most;
  });
  const order = [...film.classes.keys()].sort((a, b) => highest[b] - highest[a]).slice(0, MOST_ROWS).sort((a, b) => a - b);
  const rows = order.map((c) => {
    const fill = h("div");
    const share = h("span", { class: "share" });
    const row = h("li", {}, h("span", { class: "name" }, film.classes[c]), h("div", { class: "bar", "aria-hidden": "true" }, fill), share);
    return { c, row, fill, share };
  });
  const track = h("div", { class: "track" });
  const cursor = h("div", { class: "cursor" });
  const names = h("div", { class: "names", "aria-hidden": "true" }, ...order.map((c) => h("span", {}, film.classes[c])));
  place.append(
    h("ul", { class: "bars", "aria-label": "Probability of each class at this frame" }, ...rows.map(({ row }) => row)),
    h("div", { class: "strip" }, h("p", { class: "caption" }, "Over all frames, from the first to the last: full ink is 100 %, blank is 0 %."), h("div", { class: "rows" }, names, track)),
  );
  const seek = (event) => {
    const box = track.getBoundingClientRect();
    seekFrame(Math.max(0, Math.min(frames - 1, Math.floor(((event.clientX - box.left) / box.width) * frames))));
  };
  track.addEventListener("pointerdown", seek);
  let drawn = -1;
  return (frame, example) => {
    const correct = film.examples[example].target[0];
    if (drawn !== example) {
      drawn = example;
      const value = (k) => array.at(array.start(k % frames, example) + order[Math.floor(k / frames)]);
      const label = `Probabilities over time; the true class is ${film.classes[correct]}`;
      track.replaceChildren(inkCanvas(value, order.length, frames, { class: "ink", role: "img", "aria-label": label }), cursor);
      [...names.children].forEach((name, k) => name.classList.toggle("true", order[k] === correct));
    }
    const start = array.start(frame, example);
    const shares = film.classes.map((_, c) => array.at(start + c));
    const likeliest = shares.indexOf(Math.max(...shares));
    for (const { c, row, fill, share } of rows) {
      row.classList.toggle("true", c === correct);
      row.classList.toggle("likeliest", c === likeliest);
      fill.style.width = `${100 * shares[c]}%`;
      share.textContent = percent(shares[c]);
      set(row, "aria-label", `${film.classes[c]}${c === correct ? ", the true class" : ""}: ${percent(shares[c])}`);
    }
    cursor.style.left = `${(100 * (frame + 0.5)) / frames}%`;
  };
}

function numbersView(film, array, place, seekStep) {
  const [frames, , many] = array.shape;
  const probability = film.meaning.startsWith("binary");
  const name = (k) => (many > 1 ? `output ${k + 1}` : probability ? "probability" : "output");
  let chart = null;
  let drawn = -1;
  return (frame, example) => {
    if (drawn !== example) {
      drawn = example;
      const { target } = film.examples[example];
      const ends = [film.steps[0], film.steps.at(-1)];
      const lines = [];
      for (let k = 0; k < Math.min(many, 3); k += 1) {
        const y = film.steps.map((_, f) => array.at(array.start(f, example) + k));
        lines.push({ name: name(k), x: film.steps, y });
        if (target.length === many) lines.push({ name: many > 1 ? `target ${k + 1}` : "target", x: ends, y: [target[k], target[k]] });
      }
      chart = chartView({ title: `What the model gives for ${exampleName(film, example)}`, lines }, film.steps.at(-1), seekStep);
      place.replaceChildren(chart.element);
    }
    chart.move(film.steps[Math.min(frame, frames - 1)]);
  };
}
