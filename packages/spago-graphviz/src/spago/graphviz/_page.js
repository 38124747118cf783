"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const svg = document.getElementById("graph"), panel = document.getElementById("panel");
const GAP = 22, RANK = 46, PAD = 14, HEAD = 24;
const across = data.direction === "TB" || data.direction === "BT";
const make = (tag, attributes, parent, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent.appendChild(element);
  return element;
};

// The tree of frames: each item is a box, or a frame with items of its own.
const root = {key: "", title: "", items: [], parent: null, folded: false};
const frames = new Map([["", root]]), leaves = new Map();
for (const box of data.boxes) {
  let frame = root;
  for (const title of box.frames) {
    const key = frame.key + "\u0000" + title;
    if (!frames.has(key)) {
      const inner = {key, title, items: [], parent: frame, folded: false};
      frames.set(key, inner);
      frame.items.push(inner);
    }
    frame = frames.get(key);
  }
  const leaf = {box, parent: frame};
  leaves.set(box.id, leaf);
  frame.items.push(leaf);
}

const shown = item => {  // the item itself, or the outermost folded frame around it
  let result = item;
  for (let f = item.parent; f; f = f.parent) if (f.folded) result = f;
  return result;
};
const path = item => { const all = []; for (let i = item; i; i = i.parent) all.unshift(i); return all; };
const clip = text => text.length > 48 ? text.slice(0, 30) + " … " + text.slice(-14) : text;

// Each frame is laid out by itself: ranks by the longest way, places in a rank by the neighbours' places.
function layout(frame, lines) {
  for (const item of frame.items) {
    if (item.items && !item.folded) layout(item, lines);
    else {
      const texts = item.items ? [item.title, "folded"] : [item.box.name, ...item.box.details];
      item.texts = texts.map(clip);
      item.w = Math.max(46, ...item.texts.map((t, i) => t.length * (i ? 6 : 7.6) + 24));
      item.h = 16 + 14 * item.texts.length;
    }
  }
  const next = new Map(frame.items.map(i => [i, new Set()])), before = new Map(frame.items.map(i => [i, new Set()]));
  for (const [a, b] of lines) {
    const pa = path(a), pb = path(b), depth = pa.indexOf(frame) + 1;
    const x = pa[depth], y = pb[depth];
    if (depth && pb[depth - 1] === frame && x && y && x !== y) { next.get(x).add(y); before.get(y).add(x); }
  }
  // A way back, as modules that are used twice have it, does not count.
  const state = new Map(), order = [];
  for (const start of frame.items) {
    if (state.has(start)) continue;
    const stack = [[start, [...next.get(start)]]];
    state.set(start, 1);
    while (stack.length) {
      const [item, rest] = stack[stack.length - 1];
      if (!rest.length) { state.set(item, 2); order.unshift(item); stack.pop(); continue; }
      const to = rest.pop();
      if (state.get(to) === 1) { next.get(item).delete(to); before.get(to).delete(item); }
      else if (!state.has(to)) { state.set(to, 1); stack.push([to, [...next.get(to)]]); }
    }
  }
  for (const item of order) item.rank = Math.max(0, ...[...before.get(item)].map(i => i.rank + 1));
  for (const item of [...order].reverse())  // what has no operands stands next to what uses it
    if (!before.get(item).size && next.get(item).size) item.rank = Math.min(...[...next.get(item)].map(i => i.rank)) - 1;
  const ranks = [];
  for (const item of frame.items) (ranks[item.rank] = ranks[item.rank] || []).push(item);
  const size = item => across ? item.w : item.h, depthOf = item => across ? item.h : item.w;
  for (const rank of ranks) { let at = 0; for (const item of rank || []) { item.at = at; at += size(item) + GAP; } }
  for (let round = 0; round < 8; round++) {
    const there = round % 2 ? next : before;
    for (const rank of round % 2 ? [...ranks].reverse() : ranks) {
      if (!rank) continue;
      for (const item of rank) {
        const near = [...there.get(item)].map(i => i.at + size(i) / 2);
        item.wish = near.length ? near.reduce((a, b) => a + b) / near.length - size(item) / 2 : item.at;
      }
      rank.sort((a, b) => a.wish - b.wish);
      let at = -Infinity;
      for (const item of rank) { item.at = Math.max(at, item.wish); at = item.at + size(item) + GAP; }
      const shift = rank.reduce((sum, item) => sum + item.wish - item.at, 0) / rank.length;
      for (const item of rank) item.at += shift;
    }
  }
  const least = Math.min(...frame.items.map(i => i.at), Infinity);
  let start = 0, width = 0;
  for (const rank of ranks) {
    if (!rank) continue;
    const deep = Math.max(...rank.map(depthOf));
    for (const item of rank) {
      const a = start + (deep - depthOf(item)) / 2, b = item.at - least;
      [item.x, item.y] = across ? [b + PAD, a + PAD + HEAD] : [a + PAD, b + PAD + HEAD];
      width = Math.max(width, b + size(item));
    }
    start += deep + RANK;
  }
  const length = Math.max(0, start - RANK);
  frame.w = Math.max((across ? width : length) + 2 * PAD, frame.title.length * 7 + 40);
  frame.h = (across ? length : width) + 2 * PAD + HEAD;
}

const place = item => path(item).reduce(([x, y], i) => [x + (i.x || 0), y + (i.y || 0)], [0, 0]);

function draw() {
  const seen = new Map();
  for (const line of data.lines) {
    const a = shown(leaves.get(line.source)), b = shown(leaves.get(line.target));
    if (a === b && (a.items || line.source !== line.target)) continue;
    if (!a.number) a.number = draw.count = (draw.count || 0) + 1;
    if (!b.number) b.number = draw.count = (draw.count || 0) + 1;
    seen.set(a.number + ">" + b.number, [a, b, line.label]);
  }
  const lines = [...seen.values()];
  root.x = root.y = 0;
  layout(root, lines);
  const view = svg.querySelector("#view");
  view.replaceChildren();
  // Lines go over frames and behind boxes, so that all text can be read.
  const [below, between, above] = [0, 0, 0].map(() => make("g", {}, view));
  drawFrame(root, below, above);
  for (const [a, b, label] of lines) drawLine(a, b, label, between);
}

function drawLine(a, b, label, parent) {
  const [ax, ay] = place(a), [bx, by] = place(b);
  const from = across ? [ax + a.w / 2, ay + a.h] : [ax + a.w, ay + a.h / 2];
  const to = across ? [bx + b.w / 2, by] : [bx, by + b.h / 2];
  const bend = Math.max(18, Math.abs(across ? to[1] - from[1] : to[0] - from[0]) / 2);
  const c1 = across ? [from[0], from[1] + bend] : [from[0] + bend, from[1]];
  const c2 = across ? [to[0], to[1] - bend] : [to[0] - bend, to[1]];
  make("path", {d: `M${from}C${c1} ${c2} ${to}`, class: "line", "marker-end": "url(#arrow)"}, parent);
  if (label) make("text", {x: (from[0] + to[0]) / 2, y: (from[1] + to[1]) / 2 - 4, class: "small"}, parent, label);
}

function drawFrame(frame, below, above) {
  for (const item of frame.items) {
    const [x, y] = place(item), open = item.items && !item.folded, box = item.box;
    const group = make("g", {class: item.items ? "frame" : "box", tabindex: 0, role: "button"}, open ? below : above);
    const round = open || item.items ? 10 : box.oval ? Math.min(item.h, item.w) / 2 : 3;
    const [fill, border] = item.items ? open ? ["#f3f4f6aa", "#d1d5db"] : data.folded : box.colors;
    make("rect", {x, y, width: item.w, height: item.h, rx: round, fill, stroke: border}, group);
    if (open) make("text", {x: x + 12, y: y + 18, class: "title"}, group, "− " + clip(item.title));
    else item.texts.forEach((text, i) => make("text", {x: x + item.w / 2, y: y + 20 + 14 * i,
      class: i ? "small" : "name", fill: box && box.strange ? "#dc2626" : "#111827"}, group, text));
    const act = () => { if (moved) return; if (item.items) { item.folded = !item.folded; draw(); } else tell(box); };
    group.addEventListener("click", act);
    group.addEventListener("keydown", e => { if (e.key === "Enter") act(); });
    group.dataset.name = item.items ? item.title : box.name;
    if (open) drawFrame(item, below, above);
  }
}

function tell(box) {
  panel.replaceChildren();
  const add = (tag, text, parent = panel) => {
    const element = document.createElement(tag);
    element.textContent = text;
    parent.appendChild(element);
    return element;
  };
  add("h2", box.tooltip || box.kind);
  const table = add("table", "");
  for (const [name, value] of box.facts) { const row = add("tr", "", table); add("th", name, row); add("td", value, row); }
  panel.hidden = false;
}

let scale = 1, x0 = 0, y0 = 0, drag = null, moved = false;
const apply = () => svg.querySelector("#view").setAttribute("transform", `translate(${x0},${y0}) scale(${scale})`);
function fit() {
  const {clientWidth: w, clientHeight: h} = svg;
  scale = Math.min(1.5, (w - 20) / root.w, (h - 20) / root.h);
  [x0, y0] = [(w - root.w * scale) / 2, (h - root.h * scale) / 2];
  apply();
}
svg.addEventListener("wheel", e => {
  e.preventDefault();
  const factor = Math.exp(-e.deltaY / 500), next = Math.min(8, Math.max(0.01, scale * factor));
  [x0, y0] = [e.offsetX - (e.offsetX - x0) * next / scale, e.offsetY - (e.offsetY - y0) * next / scale];
  scale = next;
  apply();
}, {passive: false});
svg.addEventListener("pointerdown", e => { drag = [e.clientX - x0, e.clientY - y0, e.clientX, e.clientY]; moved = false; });
window.addEventListener("pointermove", e => {
  if (!drag) return;
  if (Math.hypot(e.clientX - drag[2], e.clientY - drag[3]) > 4) moved = true;
  [x0, y0] = [e.clientX - drag[0], e.clientY - drag[1]];
  apply();
});
window.addEventListener("pointerup", () => { drag = null; });
window.addEventListener("resize", fit);
document.getElementById("fit").addEventListener("click", fit);
for (const [id, folded] of [["fold", true], ["open", false]]) document.getElementById(id).addEventListener("click", () => {
  for (const frame of frames.values()) if (frame !== root) frame.folded = folded;
  draw();
  fit();
});
if (data.boxes.length > 300) for (const frame of frames.values()) if (frame !== root) frame.folded = true;
draw();
fit();
