/** The graph: pictures as nodes, matches as edges. */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { current, pathOf, type Decisions } from "./decisions.ts";
import { zoomAt, type ViewBox } from "./geometry.ts";
import { bounds, graphOf, step, type Edge, type Graph, type Node } from "./layout.ts";
import { COPIES, filesOf, goneOf, type Group, type PageContent } from "./model.ts";
import { thumbnail } from "./pictures.tsx";
import { CLASS_WORDS, countWords } from "./text.ts";

const MOST_NODES = 2000;
const STEPS = 240;
const FRAME_MILLISECONDS = 9;
/** Nodes this large on the screen show their pictures. */
const PICTURE_PIXELS = 22;
const RING = 3;
const KEEPER_RADIUS = 15;
const RADIUS = 12;
const PANEL_WIDTH = 270;
const PANEL_HEIGHT = 175;

interface GraphProps {
  readonly content: PageContent;
  readonly groups: readonly Group[];
  readonly decisions: Decisions;
  open(group: Group, file: number): void;
}

/** Return the colour of an edge: green the same, yellow near, red far. */
export function edgeColour(edge: Pick<Edge, "class" | "distance">, far: number): string {
  if (edge.class === "identical" || edge.class === "same-pixels") return "hsl(145 60% 42%)";
  const hue = 62 * (1 - Math.min(1, edge.distance / Math.max(far, 1e-6)));
  return `hsl(${hue.toFixed(0)} 85% 48%)`;
}

/** The canvas with its controls. */
export function GraphView({ content, groups, decisions, open }: GraphProps): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const graph = useMemo(() => graphOf(groups, MOST_NODES), [groups]);
  const farthest = useMemo(() => Math.max(0.1, ...graph.edges.map((edge) => edge.distance)), [graph]);
  const [limit, setLimit] = useState(1);
  const [far, setFar] = useState(0.35);
  const [hovered, setHovered] = useState<{ words: string[]; x: number; y: number } | null>(null);
  const total = useMemo(() => new Set(groups.flatMap(filesOf)).size, [groups]);
  const painter = useRef<Painter | null>(null);
  useEffect(() => {
    const made = new Painter(canvas.current as HTMLCanvasElement, content, graph, setHovered, open);
    painter.current = made;
    return () => made.stop();
  }, [graph, content]);
  useEffect(() => painter.current?.show(limit * farthest, far, decisions), [limit, far, decisions, graph, farthest]);
  return (
    <div class="graph">
      <canvas ref={canvas} tabIndex={0} role="img" aria-label={`Graph of ${countWords(graph.nodes.length, "picture")} and ${countWords(graph.edges.length, "match", "matches")}; the list of groups has the same content`} />
      <div class="panel">
        <label>
          Show matches up to distance {(limit * farthest).toFixed(2)}
          <input type="range" min="0" max="1" step="0.01" value={limit} onInput={(event) => setLimit(+event.currentTarget.value)} />
        </label>
        <label>
          Red from distance {far.toFixed(2)}
          <input type="range" min="0.02" max="1" step="0.01" value={far} onInput={(event) => setFar(+event.currentTarget.value)} />
        </label>
        <div class="legend">
          <span class="same">same</span>
          <span class="near">near</span>
          <span class="far">far</span>
          <span class="ring keep">keeper</span>
          <span class="ring goes">{content.dry_run || content.served ? "to be removed" : "removed"}</span>
        </div>
        <p>
          {countWords(graph.nodes.length, "picture")}
          {graph.nodes.length < total && ` of ${total.toLocaleString("en")}: filter to see others`}. Wheel zooms, drag moves, a click shows what is next to a picture, a double click compares.
        </p>
        <button type="button" onClick={() => painter.current?.fit()}>
          Fit
        </button>
      </div>
      {hovered && (
        <div class="tip" style={{ left: `${hovered.x + 14}px`, top: `${hovered.y + 14}px` }}>
          {hovered.words.map((words) => (
            <div key={words}>{words}</div>
          ))}
        </div>
      )}
    </div>
  );
}

interface Look {
  readonly limit: number;
  readonly far: number;
  readonly decisions: Decisions;
}

/** Draws the graph and listens to the pointer, for as long as the view is open. */
class Painter {
  private view: ViewBox = { scale: 1, x: 0, y: 0 };
  private steps = 0;
  private frame = 0;
  private dirty = true;
  private moved = false;
  private held: Node | "plane" | null = null;
  private hover = -1;
  private picked = -1;
  private last = { x: 0, y: 0 };
  private pinch = 0;
  private readonly touches = new Map<number, { x: number; y: number }>();
  private readonly pictures = new Map<number, HTMLImageElement | null>();
  private look: Look = { limit: 1, far: 0.35, decisions: new Map() };
  private readonly observer: ResizeObserver;
  private readonly listeners = new AbortController();

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly content: PageContent,
    private readonly graph: Graph,
    private readonly tell: (tip: { words: string[]; x: number; y: number } | null) => void,
    private readonly open: (group: Group, file: number) => void,
  ) {
    const listen = <K extends keyof HTMLElementEventMap>(name: K, heard: (event: HTMLElementEventMap[K]) => void): void =>
      canvas.addEventListener(name, heard, { signal: this.listeners.signal, passive: false });
    listen("wheel", (event) => this.onWheel(event));
    listen("pointerdown", (event) => this.onDown(event));
    listen("pointermove", (event) => this.onMove(event));
    listen("pointerup", (event) => this.onUp(event));
    listen("pointercancel", (event) => this.onUp(event));
    listen("pointerleave", () => this.point(-1));
    listen("dblclick", () => {
      const node = this.graph.nodes[this.hover];
      if (node) this.open(node.group, node.file);
    });
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(canvas);
    this.resize();
    this.frame = requestAnimationFrame(() => this.tick());
    // For tests: where a picture is on the canvas.
    (canvas as HTMLCanvasElement & { locate?: (file: number) => [number, number] | null }).locate = (file) => {
      const node = this.graph.nodes.find((each) => each.file === file);
      return node ? this.toScreen(node) : null;
    };
  }

  show(limit: number, far: number, decisions: Decisions): void {
    this.look = { limit, far, decisions };
    this.dirty = true;
  }

  fit(): void {
    const box = bounds(this.graph);
    // The controls cover the right side of a wide window, and the bottom of a narrow one.
    const isWide = this.canvas.clientWidth > PANEL_WIDTH * 2.5;
    const width = this.canvas.clientWidth - (isWide ? PANEL_WIDTH : 0);
    const height = this.canvas.clientHeight - (isWide ? 0 : PANEL_HEIGHT);
    const scale = Math.min(width / box.width, height / box.height, 2.5);
    this.view = {
      scale,
      x: width / 2 - (box.x + box.width / 2) * scale,
      y: height / 2 - (box.y + box.height / 2) * scale,
    };
    this.moved = false;
    this.dirty = true;
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
    this.listeners.abort();
  }

  private resize(): void {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    if (!this.moved) this.fit();
    this.dirty = true;
  }

  private tick(): void {
    const begun = performance.now();
    // As many steps as a frame has time for; the picture stays responsive while the layout settles.
    while (this.steps < STEPS && performance.now() - begun < FRAME_MILLISECONDS) {
      step(this.graph, 1 - (this.steps / STEPS) * 0.9);
      this.steps += 1;
      this.dirty = true;
    }
    if (this.steps < STEPS && !this.moved) this.fit();
    if (this.dirty) this.draw();
    this.dirty = false;
    this.canvas.dataset["settled"] = String(this.steps >= STEPS);
    this.frame = requestAnimationFrame(() => this.tick());
  }

  private toScreen(node: Node): [number, number] {
    return [node.x * this.view.scale + this.view.x, node.y * this.view.scale + this.view.y];
  }

  private draw(): void {
    const context = this.canvas.getContext("2d") as CanvasRenderingContext2D;
    const ratio = window.devicePixelRatio || 1;
    const style = getComputedStyle(this.canvas);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const { scale } = this.view;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    const lit = this.neighbours();
    for (const edge of this.graph.edges) {
      if (edge.distance > this.look.limit) continue;
      const [x1, y1] = this.toScreen(this.graph.nodes[edge.from] as Node);
      const [x2, y2] = this.toScreen(this.graph.nodes[edge.to] as Node);
      context.globalAlpha = lit && !(lit.has(edge.from) && lit.has(edge.to)) ? 0.12 : 0.9;
      context.strokeStyle = edgeColour(edge, this.look.far);
      context.setLineDash(!COPIES.has(edge.class) ? [5, 4] : []);
      context.lineWidth = Math.max(0.7, (1 + 4 * (1 - Math.min(1, edge.distance / this.look.far))) * Math.min(1, scale));
      context.beginPath();
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
      context.stroke();
    }
    context.setLineDash([]);
    this.graph.nodes.forEach((node, number) => {
      const [x, y] = this.toScreen(node);
      const radius = (node.isKeeper ? KEEPER_RADIUS : RADIUS) * scale;
      if (x < -radius || y < -radius || x > this.canvas.clientWidth + radius || y > this.canvas.clientHeight + radius) return;
      context.globalAlpha = lit && !lit.has(number) ? 0.2 : 1;
      const goes = current(node.group, this.look.decisions).remove.includes(node.file) || goneOf(node.group).includes(node.file);
      const keeps = current(node.group, this.look.decisions).keeper === node.file;
      context.beginPath();
      context.arc(x, y, Math.max(2, radius), 0, 7);
      context.fillStyle = colour(keeps ? "--keep" : goes ? "--remove" : "--muted");
      context.fill();
      const picture = radius * 2 >= PICTURE_PIXELS ? this.picture(node.file) : null;
      if (picture) {
        context.save();
        context.beginPath();
        context.arc(x, y, radius - RING, 0, 7);
        context.clip();
        const cover = (2 * radius) / Math.min(picture.naturalWidth, picture.naturalHeight);
        const [width, height] = [picture.naturalWidth * cover, picture.naturalHeight * cover];
        context.drawImage(picture, x - width / 2, y - height / 2, width, height);
        context.restore();
      }
      if (number === this.picked || number === this.hover) {
        context.strokeStyle = colour("--text");
        context.lineWidth = 2;
        context.beginPath();
        context.arc(x, y, Math.max(4, radius + 2), 0, 7);
        context.stroke();
      }
    });
    context.globalAlpha = 1;
  }

  private picture(file: number): HTMLImageElement | null {
    const known = this.pictures.get(file);
    if (known !== undefined) return known?.complete && known.naturalWidth > 0 ? known : null;
    const source = thumbnail(this.content, file);
    if (source === undefined) return null;
    if (source === null) {
      this.pictures.set(file, null);
      return null;
    }
    const picture = new Image();
    picture.onload = () => (this.dirty = true);
    picture.src = source;
    this.pictures.set(file, picture);
    return null;
  }

  private neighbours(): Set<number> | null {
    if (this.picked < 0) return null;
    const lit = new Set([this.picked]);
    for (const number of this.graph.at[this.picked] ?? []) {
      const edge = this.graph.edges[number] as Edge;
      if (edge.distance > this.look.limit) continue;
      lit.add(edge.from).add(edge.to);
    }
    return lit;
  }

  private at(x: number, y: number): number {
    let [found, least] = [-1, Infinity];
    this.graph.nodes.forEach((node, number) => {
      const [nodeX, nodeY] = this.toScreen(node);
      const away = Math.hypot(nodeX - x, nodeY - y);
      if (away < Math.max(9, (node.isKeeper ? KEEPER_RADIUS : RADIUS) * this.view.scale) && away < least) [found, least] = [number, away];
    });
    return found;
  }

  private place(event: MouseEvent): { x: number; y: number } {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  private onWheel(event: WheelEvent): void {
    event.preventDefault();
    const { x, y } = this.place(event);
    this.view = zoomAt(this.view, Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), x, y, 0.02, 12);
    this.moved = this.dirty = true;
  }

  private onDown(event: PointerEvent): void {
    const at = this.place(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.touches.set(event.pointerId, at);
    this.last = at;
    const number = this.at(at.x, at.y);
    this.hover = number;
    this.held = this.graph.nodes[number] ?? "plane";
    if (this.held !== "plane") this.held.fixed = true;
    this.pinch = 0;
    this.canvas.dataset["dragged"] = "";
  }

  private onMove(event: PointerEvent): void {
    const at = this.place(event);
    if (this.held === null) {
      this.point(this.at(at.x, at.y), at);
      return;
    }
    this.touches.set(event.pointerId, at);
    if (this.touches.size === 2) {
      const [one, two] = [...this.touches.values()] as [{ x: number; y: number }, { x: number; y: number }];
      const length = Math.hypot(one.x - two.x, one.y - two.y);
      if (this.pinch > 0) this.view = zoomAt(this.view, length / this.pinch, (one.x + two.x) / 2, (one.y + two.y) / 2, 0.02, 12);
      this.pinch = length;
    } else {
      const [dx, dy] = [at.x - this.last.x, at.y - this.last.y];
      if (Math.hypot(dx, dy) > 3 || this.canvas.dataset["dragged"]) this.canvas.dataset["dragged"] = "yes";
      else return;
      if (this.held === "plane") this.view = { ...this.view, x: this.view.x + dx, y: this.view.y + dy };
      else {
        this.held.x += dx / this.view.scale;
        this.held.y += dy / this.view.scale;
        // What hangs on it follows.
        this.steps = Math.min(this.steps, STEPS - 40);
      }
    }
    this.last = at;
    this.moved = this.dirty = true;
  }

  private onUp(event: PointerEvent): void {
    this.touches.delete(event.pointerId);
    if (this.held !== null && this.held !== "plane") this.held.fixed = false;
    if (!this.canvas.dataset["dragged"]) this.picked = this.picked === this.hover ? -1 : this.hover;
    this.canvas.dataset["picked"] = String(this.graph.nodes[this.picked]?.file ?? "");
    this.held = null;
    this.dirty = true;
  }

  private point(number: number, at = { x: 0, y: 0 }): void {
    if (number !== this.hover) this.dirty = true;
    this.hover = number;
    const node = this.graph.nodes[number];
    this.canvas.style.cursor = node ? "pointer" : "grab";
    if (!node) {
      this.tell(null);
      return;
    }
    const file = this.content.files[node.file];
    const member = node.group.members.find((each) => each.file === node.file);
    const words = [file ? pathOf(this.content, file) : ""];
    words.push(member ? `${CLASS_WORDS[member.class]}, distance ${member.distance.toFixed(3)}` : "keeper");
    this.tell({ words, ...at });
  }
}
