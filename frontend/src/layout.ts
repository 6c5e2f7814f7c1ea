/** A force layout: pictures repel each other, matches pull, groups are packed side by side. */

import type { Group, MatchClass } from "./model.ts";

export interface Node {
  readonly file: number;
  readonly group: Group;
  readonly isKeeper: boolean;
  x: number;
  y: number;
  vx: number;
  vy: number;
  fixed: boolean;
}

export interface Edge {
  readonly from: number;
  readonly to: number;
  readonly distance: number;
  readonly class: MatchClass;
}

export interface Graph {
  readonly nodes: Node[];
  readonly edges: Edge[];
  /** Indices of edges at each node. */
  readonly at: number[][];
}

const SPACING = 46;
const MOST_MOVED = SPACING / 3;
const GOLDEN = Math.PI * (3 - Math.sqrt(5));

/** Return the graph of some groups, at most `most` pictures; each component starts in a place of its own. */
export function graphOf(groups: readonly Group[], most: number): Graph {
  const nodes: Node[] = [];
  const edges: Edge[] = [];
  const placed = new Map<number, number>();
  const used: Group[] = [];
  let count = 0;
  for (const group of groups) {
    if (count + group.members.length + 1 > most && used.length > 0) break;
    used.push(group);
    count += group.members.length + 1;
  }
  let radius = 0;
  let angle = 0;
  for (const group of used) {
    const room = SPACING * (0.75 + Math.sqrt(group.members.length + 1) * 0.55);
    // A spiral whose arms are as far apart as its groups are wide.
    angle += radius < room ? GOLDEN : Math.min(GOLDEN, (2 * room) / radius);
    radius += radius === 0 ? room * 0.5 : (room * 2 * Math.min(GOLDEN, (2 * room) / Math.max(radius, room))) / (2 * Math.PI);
    const centre = { x: Math.cos(angle) * radius, y: Math.sin(angle) * radius };
    const add = (file: number, place: number): number => {
      const known = placed.get(file);
      if (known !== undefined) return known;
      const turn = place * GOLDEN;
      const away = place === 0 ? 0 : SPACING * 0.55 * Math.sqrt(place);
      nodes.push({
        file,
        group,
        isKeeper: file === group.keeper,
        x: centre.x + Math.cos(turn) * away,
        y: centre.y + Math.sin(turn) * away,
        vx: 0,
        vy: 0,
        fixed: false,
      });
      placed.set(file, nodes.length - 1);
      return nodes.length - 1;
    };
    const keeper = add(group.keeper, 0);
    group.members.forEach((member, place) => {
      const to = add(member.file, place + 1);
      if (to !== keeper) edges.push({ from: keeper, to, distance: member.distance, class: member.class });
    });
  }
  const at: number[][] = nodes.map(() => []);
  edges.forEach((edge, number) => {
    at[edge.from]!.push(number);
    at[edge.to]!.push(number);
  });
  return { nodes, edges, at };
}

/**
 * Move everything by one step; `heat` from 1 down to 0 says how far.
 *
 * Only nodes that are near each other repel, which a grid finds: the time grows with the nodes, not with their pairs.
 */
export function step({ nodes, edges, at }: Graph, heat: number): void {
  const reach = SPACING * 1.5;
  const cells = new Map<string, number[]>();
  nodes.forEach((node, number) => {
    const key = `${Math.floor(node.x / reach)} ${Math.floor(node.y / reach)}`;
    const cell = cells.get(key);
    if (cell) cell.push(number);
    else cells.set(key, [number]);
  });
  for (let a = 0; a < nodes.length; a++) {
    const one = nodes[a]!;
    const column = Math.floor(one.x / reach);
    const row = Math.floor(one.y / reach);
    for (let dx = -1; dx <= 1; dx++)
      for (let dy = -1; dy <= 1; dy++)
        for (const b of cells.get(`${column + dx} ${row + dy}`) ?? []) if (b > a) repel(one, nodes[b]!, reach, heat);
  }
  for (const edge of edges) {
    const one = nodes[edge.from]!;
    const two = nodes[edge.to]!;
    const dx = two.x - one.x;
    const dy = two.y - one.y;
    const length = Math.hypot(dx, dy) || 1;
    const near = SPACING * (0.9 + Math.min(1, edge.distance * 1.5));
    // Around the keeper of many there is no room at that distance: its files fill a disc, held as by ropes.
    const [many, few] = [at[edge.from]!.length, at[edge.to]!.length];
    const room = SPACING * 0.6 * Math.sqrt(Math.max(many, few));
    const wanted = room > near ? Math.max(length < room ? length : room, near) : near;
    const pull = ((length - wanted) / length) * 0.24 * heat;
    // The one that has more matches moves less, as if it were heavier.
    const share = many / (many + few);
    one.vx += dx * pull * (1 - share);
    one.vy += dy * pull * (1 - share);
    two.vx -= dx * pull * share;
    two.vy -= dy * pull * share;
  }
  for (const node of nodes) {
    if (!node.fixed) {
      node.x += Math.max(-MOST_MOVED, Math.min(MOST_MOVED, node.vx));
      node.y += Math.max(-MOST_MOVED, Math.min(MOST_MOVED, node.vy));
    }
    node.vx *= 0.6;
    node.vy *= 0.6;
  }
}

function repel(one: Node, two: Node, reach: number, heat: number): void {
  let dx = two.x - one.x;
  let dy = two.y - one.y;
  if (dx === 0 && dy === 0) {
    // Exactly on each other: any direction will do, as long as it is always the same.
    dx = 0.01 * (1 + (one.file % 7));
    dy = 0.01 * (1 + (two.file % 5));
  }
  const distance = Math.hypot(dx, dy);
  if (distance > reach) return;
  const push = ((reach - distance) / distance) * 0.06 * heat;
  one.vx -= dx * push;
  one.vy -= dy * push;
  two.vx += dx * push;
  two.vy += dy * push;
}

/** Return the box around all nodes. */
export function bounds(graph: Graph): { x: number; y: number; width: number; height: number } {
  if (graph.nodes.length === 0) return { x: 0, y: 0, width: 1, height: 1 };
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const node of graph.nodes) {
    left = Math.min(left, node.x);
    right = Math.max(right, node.x);
    top = Math.min(top, node.y);
    bottom = Math.max(bottom, node.y);
  }
  return { x: left - SPACING, y: top - SPACING, width: right - left + 2 * SPACING, height: bottom - top + 2 * SPACING };
}
