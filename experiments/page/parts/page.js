"use strict";
// Tables of any length: only the rows in view are in the page.  A click on a column sorts, a second one turns the order.
const { tables, violated } = JSON.parse(document.getElementById("data").textContent);
const ROW = 27, SPARE = 12, SAMPLE = 400, WIDEST = 34;
const shout = new Set(violated);

const shown = (column, row) => {
  const value = column.values[row];
  if (value === null) return "";
  return column.kind === "text" ? column.levels[value] : String(value);
};

function width(column) {
  let longest = column.name.length + 2;
  const step = Math.max(1, Math.floor(column.values.length / SAMPLE));
  for (let row = 0; row < column.values.length; row += step) longest = Math.max(longest, shown(column, row).length);
  return Math.min(longest, WIDEST) * 7.8 + 22;
}

const number = (value) => Number(String(value).replace("inf", "Infinity"));

// What is missing stands last in either order.
function sorted(rows, column, down) {
  const values = column.values, keys = new Float64Array(values.length);
  const place = new Map();
  if (column.kind === "text") {
    const order = [...column.levels.keys()].sort((a, b) => column.levels[a] < column.levels[b] ? -1 : 1);
    order.forEach((level, index) => place.set(level, index));
  }
  const there = rows.filter((row) => values[row] !== null), missing = rows.filter((row) => values[row] === null);
  for (const row of there) keys[row] = column.kind === "text" ? place.get(values[row]) : number(values[row]);
  there.sort((a, b) => (down ? keys[b] - keys[a] : keys[a] - keys[b]) || a - b);
  return Int32Array.from([...there, ...missing]);
}

function test(columns, words) {
  // "gap>0.1" compares a column, any other word is looked for in every text
  const tests = words.split(/\s+/).filter(Boolean).map((word) => {
    const [, name, sign, value] = word.match(/^([\w.-]+?)(>=|<=|=|>|<)(.+)$/) || [];
    const column = columns.find((one) => one.name === name);
    if (column) {
      const compare = { ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b,
        "=": (a, b) => a === b }[sign];
      const read = column.kind === "number" ? number : String, wanted = read(value);
      return (row) => shown(column, row) !== "" && compare(read(shown(column, row)), wanted);
    }
    const wanted = word.toLowerCase();
    const hits = columns.filter((one) => one.kind === "text").map((one) =>
      [one, new Set([...one.levels.keys()].filter((level) => one.levels[level].toLowerCase().includes(wanted)))]);
    return (row) => hits.some(([one, levels]) => levels.has(one.values[row]));
  });
  return (row) => tests.every((one) => one(row));
}

function table(grid) {
  const name = grid.dataset.table, columns = tables[name], records = name === "records";
  if (!columns.length) { grid.textContent = "nothing yet"; return; }
  const all = Int32Array.from({ length: columns[0].values.length }, (_, row) => row);
  const widths = columns.map(width), head = document.createElement("div"), body = document.createElement("div");
  let rows = all, by = null, down = false;
  head.className = "head";
  const buttons = columns.map((column, index) => {
    const button = document.createElement("button");
    button.style.width = widths[index] + "px";
    button.className = column.kind;
    button.onclick = () => { down = by === column ? !down : false; by = column; update(); };
    head.append(button);
    return button;
  });
  body.style.position = "relative";
  grid.append(head, body);

  const draw = () => {
    const first = Math.max(0, Math.floor(grid.scrollTop / ROW) - SPARE);
    const end = Math.min(rows.length, first + Math.ceil((grid.clientHeight || 600) / ROW) + 2 * SPARE);
    const lines = [];
    for (let place = first; place < end; place++) {
      const line = document.createElement("div");
      line.className = "row" + (records && shout.has(rows[place]) ? " violated" : "");
      line.style.top = place * ROW + "px";
      columns.forEach((column, index) => {
        const cell = document.createElement("div");
        cell.className = "cell " + column.kind;
        cell.style.width = widths[index] + "px";
        cell.textContent = cell.title = shown(column, rows[place]);
        line.append(cell);
      });
      lines.push(line);
    }
    body.replaceChildren(...lines);
  };
  const filter = document.querySelector(`[data-filter="${name}"]`);
  const update = () => {
    const words = filter.value.trim();
    rows = words ? all.filter(test(columns, words)) : all;
    if (by) rows = sorted(rows, by, down);
    buttons.forEach((button, index) => {
      const mine = by === columns[index];
      button.textContent = columns[index].name + (mine ? (down ? " ↓" : " ↑") : "");
      button.setAttribute("aria-sort", mine ? (down ? "descending" : "ascending") : "none");
    });
    body.style.height = rows.length * ROW + "px";
    document.querySelector(`[data-count="${name}"]`).textContent = `${rows.length.toLocaleString("en")} row${rows.length === 1 ? "" : "s"}`;
    grid.scrollTop = 0;
    draw();
  };
  grid.onscroll = () => requestAnimationFrame(draw);
  filter.oninput = update;
  update();
  const details = grid.closest("details");
  if (details) details.ontoggle = draw;
}

document.querySelectorAll("[data-table]").forEach(table);
document.body.dataset.ready = Math.round(performance.now());
