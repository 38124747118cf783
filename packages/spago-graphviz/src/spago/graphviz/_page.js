"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const svg = document.getElementById("graph"), sheet = document.getElementById("sheet"), panel = document.getElementById("panel");
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
const least = (items, value, start) => { let result = start; for (const i of items) result = Math.min(result, value(i)); return result; };
const clip = text => text.length > 48 ? text.slice(0, 30) + " … " + text.slice(-14) : text;

// The frames around two items, outermost first, and how many of these they share.
function between(a, b) {
  const pa = path(a), pb = path(b);
  let depth = 1;
  while (pa[depth] && pa[depth] === pb[depth]) depth++;
  return [pa, pb, depth];
}

// Which lines matter to the layout of which frame: those between two of its items, and those that come in or go out.
function byFrame(lines) {
  const found = new Map();
  const at = frame => {
    if (!found.has(frame)) found.set(frame, {within: [], into: [], outOf: []});
    return found.get(frame);
  };
  for (const [a, b] of lines) {
    const [pa, pb, depth] = between(a, b);
    if (!pa[depth] || !pb[depth]) continue;
    at(pa[depth - 1]).within.push([pa[depth], pb[depth]]);
    for (let i = depth; i < pa.length - 1; i++) at(pa[i]).outOf.push([pa[i + 1], b]);
    for (let i = depth; i < pb.length - 1; i++) at(pb[i]).into.push([a, pb[i + 1]]);
  }
  return found;
}

// A line that leads past other ranks is given a gap in each of them, lest it be hidden behind what stands there. Of a very
// long one, as leaves have that are used all along a sequence, nobody could see where it leads anyway.
const LONG = 40;
function detours(frame, {into, outOf}, next, before) {
  const gaps = [], deepest = -least(frame.items, i => -i.rank, 0);
  frame.routes = new Map();
  const lead = (from, to, first, end) => {  // by a gap in each rank from the first to before the end
    if (end <= first || end - first > LONG || frame.routes.has(from) && frame.routes.get(from).has(to)) return;
    const inside = item => next.has(item), route = [];
    for (let rank = first; rank < end; rank++) {
      const gap = {gap: true, rank, w: across ? 6 : 0, h: across ? 0 : 6, parent: frame}, last = route.at(-1) || from;
      next.set(gap, new Set());
      before.set(gap, new Set(inside(last) ? [last] : []));
      if (inside(last)) next.get(last).add(gap);
      route.push(gap);
    }
    if (inside(from) && inside(to)) { next.get(from).delete(to); before.get(to).delete(from); }
    if (inside(to)) { next.get(route.at(-1)).add(to); before.get(to).add(route.at(-1)); }
    if (!frame.routes.has(from)) frame.routes.set(from, new Map());
    frame.routes.get(from).set(to, route);
    gaps.push(...route);
  };
  for (const item of frame.items) for (const to of [...next.get(item)]) lead(item, to, item.rank + 1, to.rank);
  for (const [from, to] of into) lead(from, to, 0, to.rank);
  for (const [from, to] of outOf) lead(from, to, from.rank + 1, deepest + 1);
  return gaps;
}

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
  const own = lines.get(frame) || {within: [], into: [], outOf: []};
  for (const [x, y] of own.within) { next.get(x).add(y); before.get(y).add(x); }
  // A way back, as modules that are used twice have it, does not count.
  const state = new Map(), order = [];
  for (const start of frame.items) {
    if (state.has(start)) continue;
    const stack = [[start, [...next.get(start)]]];
    state.set(start, 1);
    while (stack.length) {
      const [item, rest] = stack[stack.length - 1];
      if (!rest.length) { state.set(item, 2); order.push(item); stack.pop(); continue; }
      const to = rest.pop();
      if (state.get(to) === 1) { next.get(item).delete(to); before.get(to).delete(item); }
      else if (!state.has(to)) { state.set(to, 1); stack.push([to, [...next.get(to)]]); }
    }
  }
  for (const item of order.reverse()) item.rank = -least(before.get(item), i => -i.rank - 1, 0);
  for (const item of order.reverse())  // what has no operands stands next to what uses it
    if (!before.get(item).size && next.get(item).size) item.rank = least(next.get(item), i => i.rank, Infinity) - 1;
  const ranks = [], all = [...frame.items, ...detours(frame, own, next, before)];
  for (const item of all) (ranks[item.rank] = ranks[item.rank] || []).push(item);
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
  const top = least(all, i => i.at, Infinity);
  let start = 0, width = 0;
  for (const rank of ranks) {
    if (!rank) continue;
    const deep = Math.max(...rank.map(depthOf));
    for (const item of rank) {
      if (item.gap) item[across ? "h" : "w"] = deep;
      const a = start + (deep - depthOf(item)) / 2, b = item.at - top;
      [item.x, item.y] = across ? [b + PAD, a + PAD + HEAD] : [a + PAD, b + PAD + HEAD];
      width = Math.max(width, b + size(item));
    }
    start += deep + RANK;
  }
  const length = Math.max(0, start - RANK);
  frame.w = Math.max((across ? width : length) + 2 * PAD, frame.title.length * 7 + 40);
  frame.h = (across ? length : width) + 2 * PAD + HEAD;
}

// What is on the page, in the coordinates of the graph: made anew when something is folded or opened.
let shapes = {frames: [], boxes: [], lines: []};

function draw() {
  const seen = new Map();
  let count = 0;
  const number = new Map();
  const numbered = item => { if (!number.has(item)) number.set(item, count++); return number.get(item); };
  for (const line of data.lines) {
    const a = shown(leaves.get(line.source)), b = shown(leaves.get(line.target));
    if (a === b && (a.items || line.source !== line.target)) continue;
    const key = numbered(a) + ">" + numbered(b), before = seen.get(key);
    seen.set(key, [a, b, line.label, line.again && (!before || before[3])]);
  }
  const lines = [...seen.values()];
  root.x = root.y = root.left = root.top = 0;
  layout(root, byFrame(lines.filter(line => !line[3])));
  shapes = {frames: [], boxes: [], lines: []};
  spread(root);
  for (const [a, b, label, again] of lines) shapes.lines.push(curve(a, b, label, again));
  paint(true);
}

function spread(frame) {
  for (const item of frame.items) {
    item.left = frame.left + item.x;
    item.top = frame.top + item.y;
    const open = item.items && !item.folded;
    (open ? shapes.frames : shapes.boxes).push(item);
    if (open) spread(item);
  }
}

function curve(a, b, label, again) {
  const [pa, pb, depth] = between(a, b), ways = [];
  const add = (frame, from, to) => ways.push(...(frame.routes.get(from) && frame.routes.get(from).get(to) || []));
  if (!again && pa[depth] && pb[depth]) {
    for (let i = pa.length - 2; i >= depth; i--) add(pa[i], pa[i + 1], b);
    add(pa[depth - 1], pa[depth], pb[depth]);
    for (let i = depth; i < pb.length - 1; i++) add(pb[i], a, pb[i + 1]);
  }
  const ends = item => across ? [[item.left + item.w / 2, item.top], [item.left + item.w / 2, item.top + item.h]]
    : [[item.left, item.top + item.h / 2], [item.left + item.w, item.top + item.h / 2]];
  const points = [ends(a)[1]];
  for (const gap of ways) points.push(...ends({...gap, left: gap.parent.left + gap.x, top: gap.parent.top + gap.y}));
  points.push(ends(b)[0]);
  const parts = [], xs = [points[0][0]], ys = [points[0][1]];
  for (let i = 1; i < points.length; i++) {
    const [x, y] = points[i - 1], [u, v] = points[i];
    const bend = Math.max(i % 2 ? 18 : 0, Math.abs(across ? v - y : u - x) / 2);
    parts.push(across ? [x, y + bend, u, v - bend, u, v] : [x + bend, y, u - bend, v, u, v]);
    xs.push(parts.at(-1)[0], parts.at(-1)[2], u);
    ys.push(parts.at(-1)[1], parts.at(-1)[3], v);
  }
  const left = Math.min(...xs), top = Math.min(...ys), middle = points.length >> 1;
  return {from: points[0], parts, label, again, left, top, w: Math.max(...xs) - left, h: Math.max(...ys) - top,
    at: [0, 1].map(i => (points[middle - 1][i] + points[middle][i]) / 2)};
}

// The browser is given no more elements than it can move smoothly: those around what is seen, with a margin. If these are
// too many, a picture of them is painted below instead, and text is left to a closer look.
const MOST = 500, MOST_LINES = 1500;
let painted = null;

function paint(anew) {
  const view = svg.querySelector("#view"), {clientWidth: width, clientHeight: height} = svg;
  const part = margin => ({left: (-margin * width - x0) / scale, top: (-margin * height - y0) / scale,
    right: ((1 + margin) * width - x0) / scale, bottom: ((1 + margin) * height - y0) / scale});
  const now = part(0), wide = part(0.7);
  const within = area => item => item.left < area.right && item.left + item.w > area.left
    && item.top < area.bottom && item.top + item.h > area.top;
  const inside = painted && painted.left <= now.left && painted.right >= now.right
    && painted.top <= now.top && painted.bottom >= now.bottom && scale < 2 * painted.scale && scale > painted.scale / 2;
  if (anew || !inside || painted.canvas) {
    const boxes = shapes.boxes.filter(within(wide)), lines = shapes.lines.filter(within(wide));
    const near = boxes.length <= MOST, canvas = !near || lines.length > MOST_LINES;
    const frames = shapes.frames.filter(within(wide)).slice(0, MOST);
    if (anew || !inside || near !== painted.near) {
      view.replaceChildren();
      // Lines go over frames and behind boxes, so that all text can be read.
      const [below, between, above] = [0, 0, 0].map(() => make("g", {}, view));
      for (const frame of frames) drawItem(frame, below, canvas);
      if (!canvas) for (const line of lines) drawLine(line, between);
      if (near) for (const box of boxes) drawItem(box, above);
      painted = {...wide, near, canvas, scale};
    }
    background(canvas, lines, near ? [] : boxes, canvas ? frames : []);
  }
  view.setAttribute("transform", `translate(${x0},${y0}) scale(${scale})`);
}

function background(used, lines, boxes, frames) {
  const {clientWidth: width, clientHeight: height} = svg, ratio = window.devicePixelRatio || 1;
  if (!used) { if (sheet.width) sheet.width = 0; return; }
  sheet.width = width * ratio;
  sheet.height = height * ratio;
  const pen = sheet.getContext("2d");
  pen.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x0, ratio * y0);
  pen.lineWidth = Math.max(1, 0.5 / scale);
  for (const frame of frames) { pen.fillStyle = "#f3f4f6"; pen.fillRect(frame.left, frame.top, frame.w, frame.h); }
  pen.strokeStyle = lines.length > MOST_LINES ? "#9ca3af55" : "#6b728099";
  pen.beginPath();
  for (const {from, parts} of lines) { pen.moveTo(...from); for (const part of parts) pen.bezierCurveTo(...part); }
  pen.stroke();
  for (const item of boxes) {
    const [fill, border] = item.items ? data.folded : item.box.colors, small = item.h * scale < 4;
    pen.fillStyle = small ? border : fill;
    pen.fillRect(item.left, item.top, item.w, item.h);
    pen.strokeStyle = border;
    if (!small) pen.strokeRect(item.left, item.top, item.w, item.h);
  }
}

function drawLine({from, parts, label, again, at}, parent) {
  const look = again ? {"stroke-dasharray": "5 4"} : {}, d = `M${from}` + parts.map(part => `C${part}`).join("");
  make("path", {d, class: "line", "marker-end": "url(#arrow)", ...look}, parent);
  if (label) make("text", {x: at[0], y: at[1] - 4, class: "small"}, parent, label);
}

function drawItem(item, parent, clear) {
  const {left: x, top: y, w, h, box} = item, open = item.items && !item.folded;
  const group = make("g", {class: item.items ? "frame" : "box", tabindex: 0, role: "button"}, parent);
  const round = item.items ? 10 : box.oval ? Math.min(h, w) / 2 : 3;
  const [fill, border] = item.items ? open ? [clear ? "#f3f4f600" : "#f3f4f6aa", "#d1d5db"] : data.folded : box.colors;
  make("rect", {x, y, width: w, height: h, rx: round, fill, stroke: border}, group);
  if (open) make("text", {x: x + 12, y: y + 18, class: "title"}, group, "− " + clip(item.title));
  else item.texts.forEach((text, i) => make("text", {x: x + w / 2, y: y + 20 + 14 * i,
    class: !i ? "name" : box && box.hot ? "small hot" : "small", fill: box && box.strange ? "#dc2626" : "#111827"}, group, text));
  group.addEventListener("click", () => act(item));
  group.addEventListener("keydown", e => { if (e.key === "Enter") act(item); });
  group.dataset.name = item.items ? item.title : box.name;
}

function act(item) {
  if (moved) return;
  if (item.items) { item.folded = !item.folded; draw(); } else tell(item.box);
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

let scale = 1, x0 = 0, y0 = 0, drag = null, moved = false, untouched = true;
let waiting = null;
const apply = () => {  // at once, and then once a frame, however often it is asked for
  if (waiting) { waiting.again = true; return; }
  waiting = {again: false};
  requestAnimationFrame(() => { const {again} = waiting; waiting = null; if (again) apply(); });
  paint(false);
};
function show(item, most, area = item) {  // in the middle, with all of the area if there is room for it
  const {clientWidth: w, clientHeight: h} = svg;
  scale = Math.min(most, (w - 20) / area.w, (h - 20) / area.h);
  [x0, y0] = [w / 2 - (item.left + item.w / 2) * scale, h / 2 - (item.top + item.h / 2) * scale];
  paint(false);
}
const fit = () => show(root, 1.5);
svg.addEventListener("wheel", e => {
  e.preventDefault();
  const factor = Math.exp(-e.deltaY / 500), next = Math.min(8, Math.max(0.0001, scale * factor));
  [x0, y0] = [e.offsetX - (e.offsetX - x0) * next / scale, e.offsetY - (e.offsetY - y0) * next / scale];
  scale = next;
  untouched = false;
  apply();
}, {passive: false});
svg.addEventListener("pointerdown", e => { drag = [e.clientX - x0, e.clientY - y0, e.clientX, e.clientY]; moved = false; });
window.addEventListener("pointermove", e => {
  if (!drag) return;
  if (Math.hypot(e.clientX - drag[2], e.clientY - drag[3]) > 4) moved = true;
  untouched = false;
  [x0, y0] = [e.clientX - drag[0], e.clientY - drag[1]];
  apply();
});
window.addEventListener("pointerup", () => { if (drag) paint(false); drag = null; });
svg.addEventListener("click", e => {  // on what is only painted
  if (!painted.canvas || e.target !== svg) return;
  const x = (e.offsetX - x0) / scale, y = (e.offsetY - y0) / scale, near = 3 / scale;
  const hit = i => i.left - near <= x && x <= i.left + i.w + near && i.top - near <= y && y <= i.top + i.h + near;
  const far = i => Math.hypot(i.left + i.w / 2 - x, i.top + i.h / 2 - y);
  const item = shapes.boxes.filter(hit).sort((a, b) => far(a) - far(b))[0];
  if (item) act(item);
});
window.addEventListener("resize", () => { if (untouched) start(); else paint(true); });
document.getElementById("fit").addEventListener("click", () => { untouched = false; fit(); });
for (const [id, folded] of [["fold", true], ["open", false]]) document.getElementById(id).addEventListener("click", () => {
  for (const frame of frames.values()) if (frame !== root) frame.folded = folded;
  untouched = true;
  draw();
  start();
});
if (data.boxes.length > 300) for (const frame of frames.values()) if (frame !== root) frame.folded = true;
function start() {
  fit();
  if (scale > 0.4) return;
  // All of it would be too small to read: the result is looked at first, with what leads to it.
  show(shown(leaves.get(data.boxes[0].id)), 0.9, {w: 0, h: 0});
  const {clientWidth: w, clientHeight: h} = svg;
  if (across) y0 += (data.direction === "TB" ? 0.35 : -0.35) * h;
  else x0 += (data.direction === "LR" ? 0.35 : -0.35) * w;
  paint(false);
}
draw();
start();
