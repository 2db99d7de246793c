// The graph of a workflow's tasks: layers from left to right, with an edge from each parent to its children.
//
// An edge over more than one layer has a bend in each layer between, which is placed like a task, so that the edge passes
// beside the tasks and not behind them.

import { element, svg } from '../dom.js';
import { shorten } from '../format.js';

const NODE = { width: 176, height: 46 };
/** Height of a bend. */
const BEND = 12;
const GAP = { x: 46, y: 14 };
const MARGIN = 6;
/** Characters of a name that fit into a node. */
const MAX_NAME = 19;
/** Passes that order the layers by their neighbors. */
const PASSES = 4;

/**
 * The nodes of the graph by layers, and the edges as lists of nodes. A node is {task} or a bend, {}; `before` and `after`
 * are its neighbors. A task stands one layer after the last of its parents.
 */
function arrange(tasks) {
  const nodes = tasks.map((task) => ({ task, before: [], after: [] }));
  const byName = new Map(nodes.map((node) => [node.task.name, node]));
  const parentsOf = (node) => node.task.parents.map((name) => byName.get(name)).filter((parent) => parent && parent !== node);
  const depths = new Map();
  const depth = (node, open) => {
    if (depths.has(node)) return depths.get(node);
    if (open.has(node)) return 0;
    const found = Math.max(-1, ...parentsOf(node).map((parent) => depth(parent, new Set([...open, node])))) + 1;
    depths.set(node, found);
    return found;
  };
  const layers = [];
  const add = (node, layer) => (layers[layer] ??= []).push(node);
  for (const node of nodes) add(node, depth(node, new Set()));
  const edges = nodes.flatMap((node) => parentsOf(node).map((parent) => {
    const chain = [parent];
    for (let layer = depths.get(parent) + 1; layer < depths.get(node); layer += 1) {
      chain.push({ before: [], after: [] });
      add(chain.at(-1), layer);
    }
    chain.push(node);
    chain.slice(1).forEach((next, at) => {
      chain[at].after.push(next);
      next.before.push(chain[at]);
    });
    return chain;
  }));
  return { layers: layers.filter(Boolean), edges };
}

/** Moves each node towards the mean row of its parents, and back towards that of its children, to avoid crossings. */
function order(layers) {
  const number = (layer) => layer.forEach((node, row) => { node.row = row - layer.length / 2; });
  layers.forEach(number);
  for (let pass = 0; pass < PASSES; pass += 1) {
    const isForward = pass % 2 === 0;
    for (const layer of isForward ? layers : [...layers].reverse()) {
      for (const node of layer) {
        const near = isForward ? node.before : node.after;
        node.mean = near.length === 0 ? node.row : near.reduce((sum, one) => sum + one.row, 0) / near.length;
      }
      layer.sort((a, b) => a.mean - b.mean);
      number(layer);
    }
  }
}

const heightOf = (node) => (node.task ? NODE.height : BEND);
const sum = (layer) => layer.reduce((total, node) => total + heightOf(node), 0) + (layer.length - 1) * GAP.y;

/**
 * The graph of tasks ({id, name, status, parents: names of tasks, href}) in a box of its own that scrolls. `status` and
 * `href` are optional.
 */
export function dagGraph(tasks) {
  const { layers, edges } = arrange(tasks);
  order(layers);
  const width = 2 * MARGIN + layers.length * (NODE.width + GAP.x) - GAP.x;
  const height = 2 * MARGIN + Math.max(NODE.height, ...layers.map(sum));
  layers.forEach((layer, column) => {
    let y = (height - sum(layer)) / 2;
    for (const node of layer) {
      Object.assign(node, { x: MARGIN + column * (NODE.width + GAP.x), y });
      y += heightOf(node) + GAP.y;
    }
  });
  const placed = layers.flat().filter((node) => node.task).sort((a, b) => tasks.indexOf(a.task) - tasks.indexOf(b.task));
  const drawing = svg('svg', { width, height, viewBox: `0 0 ${width} ${height}` }, edges.map(drawEdge), placed.map(drawTask));
  return element('div', { class: 'graph', tabindex: 0, role: 'group', 'aria-label': 'Graph of the tasks' }, drawing);
}

/** A curve with an arrow head, which is horizontal in each layer. */
function drawEdge(chain) {
  const middle = (node) => node.y + heightOf(node) / 2;
  const [first] = chain;
  const last = chain.at(-1);
  let path = `M${first.x + NODE.width} ${middle(first)}`;
  for (let at = 1; at < chain.length; at += 1) {
    const [from, to] = [chain[at - 1], chain[at]];
    const [x1, x2] = [from.x + NODE.width, to === last ? to.x - 7 : to.x];
    const half = (x1 + x2) / 2;
    path += ` C${half} ${middle(from)} ${half} ${middle(to)} ${x2} ${middle(to)}`;
    if (to !== last) path += ` H${to.x + NODE.width}`;
  }
  return svg('g', { class: 'edge' },
    svg('path', { d: path }), svg('path', { d: `M${last.x} ${middle(last)} l-8 -4 v8 z`, class: 'head' }));
}

function drawTask({ task, x, y }) {
  const status = task.status ? task.status.toLowerCase() : '';
  const after = task.parents.length > 0 ? `, after ${task.parents.join(', ')}` : '';
  const parts = [
    svg('title', null, `${task.name}${status ? `: ${status}` : ''}${after}`),
    svg('rect', { x, y, width: NODE.width, height: NODE.height, rx: 7 }),
    svg('text', { x: x + 12, y: y + (status ? 19 : 28), class: 'name' }, shorten(task.name, MAX_NAME)),
    status ? svg('circle', { cx: x + 16, cy: y + 33, r: 4 }) : null,
    status ? svg('text', { x: x + 26, y: y + 37, class: 'state' }, status) : null,
  ];
  const kind = /^[A-Z]+$/.test(task.status ?? '') ? `task ${task.status}` : 'task';
  return task.href ? svg('a', { href: task.href, class: kind }, parts) : svg('g', { class: kind }, parts);
}
