/** Two or more files large, on each other or side by side. */

import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { current, obstacle, pathOf, shortFolder, type Decisions } from "./decisions.ts";
import { cssOf, fitView, multiply, wholeMatrix, zoomAt, type ViewBox } from "./geometry.ts";
import type { Actions } from "./groups.tsx";
import { filesOf, isGone, memberOf, OTHERS, type Group, type Matrix, type PageContent, type PageFile, type Region } from "./model.ts";
import { large, original, Thumb, thumbnail } from "./pictures.tsx";
import { placement } from "./served.ts";
import { CLASS_WORDS, countWords, lengthWords, pixelWords, rateWords, sizeWords, soundWords, whatWasDone, withNames } from "./text.ts";

type Mode = "side" | "blink" | "slider" | "difference" | "all";

/** Each with its key; a phone has no room for the last words. */
const MODES: readonly [Mode, string, string, string?][] = [
  ["side", "Side", "1", " by side"],
  ["blink", "Blink", "2"],
  ["slider", "Slider", "3"],
  ["difference", "Difference", "4"],
  ["all", "All", "5", " files"],
];
/** Files that are shown at a time. */
const MOST_PANES = 12;
const BLINK_MILLISECONDS = 700;

interface CompareProps {
  readonly content: PageContent;
  readonly group: Group;
  readonly file: number;
  readonly decisions: Decisions;
  readonly actions: Actions;
  readonly locked: boolean;
  close(): void;
}

/** The dialog that compares the keeper with one other file of its group. */
export function Compare({ content, group, file, decisions, actions, locked, close }: CompareProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const others = useMemo(() => filesOf(group).slice(1), [group]);
  const [id, setId] = useState(file === group.keeper ? (others[0] as number) : file);
  const [mode, setMode] = useState<Mode>("side");
  const [amplified, setAmplified] = useState(4);
  const [originals, setOriginals] = useState(false);
  const [regions, setRegions] = useState(true);
  const now = current(group, decisions);
  const member = memberOf(group, id);
  const keeper = content.files[group.keeper] as PageFile;
  const other = content.files[id] as PageFile;
  const isWhole = member?.class !== "partial" && !(member && OTHERS.has(member.class));
  const [placed, setPlaced] = useState<{ file: number; matrix: Matrix | null } | null>(null);
  useEffect(() => {
    if (isWhole || member?.matrix || !content.served || member?.class !== "partial") return;
    let wanted = true;
    placement(content.served, group.keeper, id).then(
      (matrix) => wanted && setPlaced({ file: id, matrix }),
      () => wanted && setPlaced({ file: id, matrix: null }),
    );
    return () => {
      wanted = false;
    };
  }, [id, isWhole]);
  const found = member?.matrix ?? (placed?.file === id ? placed.matrix : null);
  const aligned = isWhole || found !== null;
  const offered = MODES.filter(([name]) => name !== "all" || others.length > 1);
  const shown: Mode = mode === "all" ? (others.length > 1 ? mode : "side") : aligned ? mode : "side";
  useEffect(() => {
    const element = dialog.current as HTMLDialogElement;
    if (!element.open) element.showModal();
    element.focus();
  }, []);
  const turn = (by: number): void => {
    setId(others[(others.indexOf(id) + by + others.length) % others.length] as number);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof HTMLInputElement && event.key.startsWith("Arrow")) return;
    const picked = offered.find(([, , key]) => key === event.key);
    if (picked) setMode(picked[0]);
    else if (event.key === "d") setMode(mode === "difference" ? "side" : "difference");
    else if (event.key === "b") setMode(mode === "blink" ? "side" : "blink");
    else if (event.key === "ArrowRight") turn(1);
    else if (event.key === "ArrowLeft") turn(-1);
    else if (event.key === "k" && !locked && now.remove.includes(id)) actions.toggle(group, id);
    else if (event.key === "x" && !locked && !now.remove.includes(id)) actions.toggle(group, id);
    else if (event.key === "m" && !locked) actions.makeKeeper(group, id);
    else if (event.key === "n" && !locked) actions.notDuplicates(group);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const side = (file: number): Side => {
    const its = memberOf(group, file);
    const at = its?.matrix ?? (placed?.file === file ? placed.matrix : null);
    const whole = its !== undefined && its.class !== "partial" && !OTHERS.has(its.class);
    const matrix = at ?? (whole ? wholeMatrix(its.orientation, keeper, content.files[file] as PageFile) : null);
    const verdict = its && isGone(its) ? "removed" : file === now.keeper ? "keep" : now.remove.includes(file) ? "remove" : "stays";
    return { file: content.files[file] as PageFile, matrix, verdict, regions: regions ? (its?.regions ?? []) : [] };
  };
  const goes = now.remove.includes(id);
  const hinder = obstacle(group, now.keeper, id);
  const reachable = original(content, other) !== null && (content.served !== undefined || !other.video);
  const boxes = member?.regions ?? [];
  return (
    <dialog ref={dialog} class="compare" aria-label="Compare pictures" tabIndex={-1} onKeyDown={onKeyDown} onClose={close}>
      <header>
        <div class="modes" role="group" aria-label="How to compare">
          {offered.map(([name, words, key, more]) => (
            <button type="button" key={name} aria-pressed={shown === name} disabled={!aligned && name !== "side" && name !== "all"} onClick={() => setMode(name)} title={aligned || name === "side" || name === "all" ? `Key ${key}` : "Where the part lies in the whole is not known"}>
              {words}
              <span class="wide">{more}</span>
            </button>
          ))}
        </div>
        {shown === "difference" && (
          <label class="amplify">
            Amplify ×{amplified}
            <input type="range" min="1" max="16" value={amplified} onInput={(event) => setAmplified(+event.currentTarget.value)} />
          </label>
        )}
        {boxes.length > 0 && (
          <label>
            <input type="checkbox" checked={regions} onChange={() => setRegions(!regions)} /> Mark {countWords(boxes.length, "difference")}
          </label>
        )}
        {reachable && (
          <label title={content.served ? "Decoded in full" : "Opens the files themselves, where the browser can show them"}>
            <input type="checkbox" checked={originals} onChange={() => setOriginals(!originals)} /> Originals
          </label>
        )}
        <span class="spacer" />
        <button type="button" class="close" onClick={() => dialog.current?.close()} aria-label="Close">
          ✕
        </button>
      </header>
      <Stage
        key={shown === "all" ? `${group.id}` : `${group.id} ${id}`}
        content={content}
        keeper={keeper}
        others={shown === "all" ? windowAround(others, id).map((each) => side(each)) : [side(id)]}
        mode={shown}
        amplified={amplified}
        originals={originals}
        picked={id}
        pick={setId}
      />
      <div class="below">
        <table>
          <thead>
            <tr>
              <td />
              <th scope="col">{now.keeper === group.keeper ? "Keeper" : "First keeper"}</th>
              <th scope="col">{id === now.keeper ? "Keeper" : member && isGone(member) ? "Removed" : goes ? "To be removed" : "Stays"}</th>
            </tr>
          </thead>
          <tbody>
            {ROWS.map(([name, words]) => {
              const [left, right] = [words(keeper, content), words(other, content)];
              if (left === "" && right === "") return null;
              return (
                <tr key={name} class={left === right || EXPECTED.has(name) ? "" : "differs"}>
                  <th scope="row">{name}</th>
                  <td>{left}</td>
                  <td>{right}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
        <div class="verdict">
          {member && (
            <p>
              <span class={`chip ${member.class}`}>{CLASS_WORDS[member.class]}</span>{" "}
              {[...whatWasDone(content, group, member), member.distance > 0 ? `distance ${member.distance.toFixed(3)}` : ""].filter(Boolean).join(", ")}
            </p>
          )}
          {member?.why && <p>{member.why}</p>}
          {member?.found && <p>{member.found}</p>}
          {member?.original && member.rule !== "original" && <p class="quiet">{withNames(member.original)}.</p>}
          {member?.message && <p class="trouble">{member.message}</p>}
          {!locked && (
            <p class="buttons">
              <button type="button" disabled={!goes} onClick={() => actions.toggle(group, id)}>
                Keep (k)
              </button>
              <button type="button" disabled={goes || hinder !== ""} title={hinder} onClick={() => actions.toggle(group, id)}>
                Remove (x)
              </button>
              <button type="button" disabled={id === now.keeper} onClick={() => actions.makeKeeper(group, id)}>
                Make keeper (m)
              </button>
              <button type="button" onClick={() => actions.notDuplicates(group)}>
                Not duplicates (n)
              </button>
            </p>
          )}
          {others.length > 1 && (
            <div class="others" role="group" aria-label="Other files of the group">
              {others.slice(0, 200).map((each) => (
                <button type="button" key={each} aria-pressed={each === id} onClick={() => setId(each)} title={content.files[each]?.name}>
                  <Thumb content={content} file={content.files[each] as PageFile} alt={content.files[each]?.name ?? ""} />
                </button>
              ))}
            </div>
          )}
        </div>
      </div>
    </dialog>
  );
}

/** Values that differ between any two files, and say nothing about their worth. */
const EXPECTED: ReadonlySet<string> = new Set(["Name", "Folder", "Changed"]);

const ROWS: readonly [string, (file: PageFile, content: PageContent) => string][] = [
  ["Name", (file) => file.name],
  ["Folder", (file, content) => shortFolder(content, file.folder)],
  ["Size", (file) => sizeWords(file.size)],
  ["Pixels", pixelWords],
  ["Format", (file) => file.format],
  ["Length", (file) => (file.video ? lengthWords(file.video.seconds) : "")],
  ["Video", (file) => (file.video ? `${file.video.codec}, ${rateWords(file.video)}` : "")],
  ["Sound", (file) => (file.video ? soundWords(file.video) : "")],
  ["Taken", (file) => file.captured?.replace("T", " ") ?? "–"],
  ["Changed", (file) => new Date(file.modified * 1000).toISOString().slice(0, 19).replace("T", " ")],
  ["Camera", (file) => file.camera ?? "–"],
  ["EXIF", (file) => `${countWords(file.exif, "field")}${file.gps ? ", position" : ""}`],
];

/** A file beside the keeper. */
interface Side {
  readonly file: PageFile;
  /** From this picture to the keeper; `null` if it is not known. */
  readonly matrix: Matrix | null;
  readonly verdict: string;
  readonly regions: readonly Region[];
}

/** Return as many files as fit, with one of them among them. */
function windowAround(files: readonly number[], file: number): readonly number[] {
  const most = MOST_PANES - 1;
  const start = Math.max(0, Math.min(files.indexOf(file) - Math.floor(most / 2), files.length - most));
  return files.slice(start, start + most);
}

/** Return in how many columns panes show pictures of a shape largest. */
function columnsFor(count: number, stage: { width: number; height: number }, shape: number): number {
  let [best, most] = [1, 0];
  for (let columns = 1; columns <= count; columns++) {
    const [width, height] = [stage.width / columns, stage.height / Math.ceil(count / columns)];
    const shown = Math.min(width, height * shape);
    if (shown > most) [best, most] = [columns, shown];
  }
  return best;
}

interface StageProps {
  readonly content: PageContent;
  readonly keeper: PageFile;
  /** One file, and in the mode `all` more. */
  readonly others: readonly Side[];
  readonly mode: Mode;
  readonly amplified: number;
  readonly originals: boolean;
  readonly picked: number;
  pick(file: number): void;
}

function Stage({ content, keeper, others, mode, amplified, originals, picked, pick }: StageProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [stage, setStage] = useState({ width: 0, height: 0 });
  const [view, setView] = useState<ViewBox | null>(null);
  const [top, setTop] = useState(true);
  const [cut, setCut] = useState(0.5);
  const frame = keeper.width > 0 ? keeper : { width: 1000, height: 750 };
  const panes = mode === "side" || mode === "all" ? others.length + 1 : 1;
  // Two pictures beside each other would be slits on a phone that is held upright: there they lie one above the other.
  const columns = mode === "side" ? (stage.width < stage.height * 1.15 ? 1 : 2) : columnsFor(panes, stage, frame.width / frame.height);
  const rows = Math.ceil(panes / columns);
  const pane = { width: stage.width / columns, height: stage.height / rows };
  useLayoutEffect(() => {
    const element = box.current as HTMLDivElement;
    const measure = (): void => setStage({ width: element.clientWidth, height: element.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => setView(null), [columns, rows, stage.width, stage.height]);
  useEffect(() => {
    setTop(true);
    if (mode !== "blink") return;
    const timer = setInterval(() => setTop((before) => !before), BLINK_MILLISECONDS);
    return () => clearInterval(timer);
  }, [mode]);
  const fitted = fitView(frame, pane);
  const shown = view ?? fitted;
  const change = (next: ViewBox): void => setView(next);
  const pointers = useRef(new Map<number, { x: number; y: number }>());
  const place = (event: { clientX: number; clientY: number }): { x: number; y: number } => {
    const rectangle = (box.current as HTMLDivElement).getBoundingClientRect();
    const [x, y] = [event.clientX - rectangle.left, event.clientY - rectangle.top];
    return { x: x % pane.width, y: y % pane.height };
  };
  const zoom = (factor: number, x: number, y: number): void =>
    change(zoomAt(shown, factor, x, y, fitted.scale / 4, Math.max(16, fitted.scale * 4)));
  useEffect(() => {
    const element = box.current as HTMLDivElement;
    const onWheel = (event: WheelEvent): void => {
      event.preventDefault();
      const at = place(event);
      zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), at.x, at.y);
    };
    // Preact would listen passively, and the page would scroll.
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  });
  const sliding = useRef(false);
  const onPointerDown = (event: PointerEvent): void => {
    const target = event.target as HTMLElement;
    // A captured pointer would take the click away from a button.
    if (target.closest("button")) return;
    sliding.current = target.closest(".handle") !== null;
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    pointers.current.set(event.pointerId, place(event));
  };
  const onPointerMove = (event: PointerEvent): void => {
    const before = pointers.current.get(event.pointerId);
    if (!before) return;
    const at = place(event);
    if (sliding.current) setCut(Math.min(1, Math.max(0, at.x / pane.width)));
    else if (pointers.current.size === 2) {
      const still = [...pointers.current].find(([pointer]) => pointer !== event.pointerId)?.[1] ?? before;
      const length = (point: { x: number; y: number }): number => Math.hypot(point.x - still.x, point.y - still.y) || 1;
      zoom(length(at) / length(before), still.x, still.y);
    } else change({ ...shown, x: shown.x + at.x - before.x, y: shown.y + at.y - before.y });
    pointers.current.set(event.pointerId, at);
  };
  const onPointerUp = (event: PointerEvent): void => {
    pointers.current.delete(event.pointerId);
    sliding.current = false;
  };
  const base: Matrix = [shown.scale, 0, shown.x, 0, shown.scale, shown.y, 0, 0, 1];
  const placed = ({ file, matrix }: Side): Matrix => {
    const own = fitView(file.width > 0 ? file : frame, pane);
    return matrix ? multiply(base, matrix) : [own.scale, 0, own.x, 0, own.scale, own.y, 0, 0, 1];
  };
  const layer = (side: Side): JSX.Element => <Layer key={side.file.id} content={content} file={side.file} matrix={placed(side)} originals={originals} />;
  const marked = (regions: readonly Region[]): JSX.Element | null =>
    regions.length === 0 ? null : (
      <svg class="marks" aria-hidden="true">
        {regions.map((region, number) => (
          <rect key={number} class={region.kind.replace(" ", "-")} x={region.x * shown.scale + shown.x} y={region.y * shown.scale + shown.y} width={region.width * shown.scale} height={region.height * shown.scale}>
            <title>{region.kind}</title>
          </rect>
        ))}
      </svg>
    );
  const first = others[0] as Side;
  const other = first.file;
  const keeperLayer = <Layer key="keeper" content={content} file={keeper} matrix={base} originals={originals} />;
  const otherLayer = layer(first);
  const marks = marked(first.regions);
  const style = { gridTemplateColumns: `repeat(${columns}, 1fr)`, gridTemplateRows: `repeat(${rows}, 1fr)` };
  return (
    <div class={`stage ${mode}`} style={style} ref={box} onPointerDown={onPointerDown} onPointerMove={onPointerMove} onPointerUp={onPointerUp} onPointerCancel={onPointerUp} onDblClick={() => setView(null)}>
      {mode === "all" ? (
        <>
          <div class="pane">
            {keeperLayer}
            <span class="caption keep">keeper</span>
          </div>
          {others.map((side) => (
            <div key={side.file.id} class={`pane ${side.file.id === picked ? "picked" : ""}`}>
              {layer(side)}
              {side.matrix && marked(side.regions)}
              <button type="button" class={`caption ${side.verdict}`} aria-pressed={side.file.id === picked} onClick={() => pick(side.file.id)}>
                {side.verdict}: {side.file.name}
              </button>
            </div>
          ))}
        </>
      ) : mode === "side" ? (
        <>
          <div class="pane">
            {keeperLayer}
            {marks}
            <span class="caption keep">keeper</span>
          </div>
          <div class="pane">
            {otherLayer}
            {first.matrix && marks}
            <span class="caption">{other.name}</span>
          </div>
        </>
      ) : (
        <div class="pane" style={mode === "difference" ? { filter: `brightness(${amplified})` } : {}}>
          {keeperLayer}
          <div
            class="over"
            style={
              mode === "slider"
                ? { clipPath: `inset(0 0 0 ${cut * 100}%)` }
                : mode === "blink"
                  ? { visibility: top ? "visible" : "hidden" }
                  : { mixBlendMode: "difference" }
            }
          >
            {otherLayer}
          </div>
          {mode !== "difference" && marks}
        </div>
      )}
      {mode === "difference" && marks}
      {mode === "slider" && (
        <div class="handle" style={{ left: `${cut * 100}%` }} role="slider" tabIndex={0} aria-label="Border between the pictures" aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(cut * 100)} />
      )}
      {mode === "blink" && <span class={`caption ${top ? "" : "keep"}`}>{top ? other.name : "keeper"}</span>}
      <div class="zoom">
        <button type="button" aria-label="Smaller" onClick={() => zoom(1 / 1.5, pane.width / 2, pane.height / 2)}>
          −
        </button>
        <button type="button" onClick={() => setView(null)}>
          Fit
        </button>
        <button type="button" onClick={() => zoom(1 / shown.scale, pane.width / 2, pane.height / 2)} title="One pixel of the keeper on one of the screen">
          {Math.round(shown.scale * 100)} %
        </button>
        <button type="button" aria-label="Larger" onClick={() => zoom(1.5, pane.width / 2, pane.height / 2)}>
          +
        </button>
      </div>
    </div>
  );
}

interface LayerProps {
  readonly content: PageContent;
  readonly file: PageFile;
  readonly matrix: Matrix;
  readonly originals: boolean;
}

/** One picture in place: the thumbnail at once, a larger one over it when it has come. */
function Layer({ content, file, matrix, originals }: LayerProps): JSX.Element {
  const size = file.width > 0 ? file : { width: 1000, height: 750 };
  const [loaded, setLoaded] = useState("");
  const [failed, setFailed] = useState(false);
  const wanted = originals ? original(content, file) : large(content, file.id);
  useEffect(() => {
    setFailed(false);
    if (!wanted || wanted === loaded) return;
    const picture = new Image();
    picture.onload = () => setLoaded(wanted);
    picture.onerror = () => setFailed(true);
    picture.src = wanted;
    return () => {
      picture.onload = null;
      picture.onerror = null;
    };
  }, [wanted]);
  const source = wanted && loaded === wanted ? wanted : (loaded || thumbnail(content, file.id));
  // Laid out as large as on the screen and no larger: a layer of full size would cost its pixels' memory.
  const scale = Math.max(Math.hypot(matrix[0], matrix[3]), 1e-6);
  const layout: Matrix = multiply(matrix, [1 / scale, 0, 0, 0, 1 / scale, 0, 0, 0, 1]);
  return (
    <>
      {source && <img class={`layer ${scale > 2 ? "pixels" : ""}`} src={source} alt={file.name} draggable={false} style={{ width: `${size.width * scale}px`, height: `${size.height * scale}px`, transform: cssOf(layout) }} />}
      {originals && failed && <span class="notice">The browser cannot show this file; its thumbnail is shown.</span>}
    </>
  );
}

/** Return a name for a picture that a screen reader says. */
export function spoken(content: PageContent, file: PageFile): string {
  return pathOf(content, file);
}
