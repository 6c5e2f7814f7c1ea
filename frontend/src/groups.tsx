/** The groups as cards: which file stays and why, and what happens to each other one. */

import type { JSX } from "preact";
import { memo } from "preact/compat";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { current, obstacle, pathOf, shortFolder, type Decisions, type GroupDecision } from "./decisions.ts";
import { filesOf, goneOf, isGone, memberOf, weightOfAll, type Group, type PageContent, type PageFile } from "./model.ts";
import { Thumb } from "./pictures.tsx";
import { CLASS_MEANING, CLASS_WORDS, countWords, dayOf, DONE_WORDS, lengthWords, onlyHere, pixelWords, rateWords, sizeWords, whatWasDone } from "./text.ts";

/** What a card can ask for; one object for the life of the page, so that cards need not be drawn again. */
export interface Actions {
  select(group: Group, file: number): void;
  toggle(group: Group, file: number): void;
  makeKeeper(group: Group, file: number): void;
  accept(group: Group): void;
  forget(group: Group): void;
  notDuplicates(group: Group): void;
  compare(group: Group, file: number): void;
  like(group: Group, file: number): void;
}

const MOST_TILES = 40;
const OVERSCAN = 2;

interface ListProps {
  readonly content: PageContent;
  readonly groups: readonly Group[];
  readonly decisions: Decisions;
  readonly cursor: { readonly place: number; readonly file: number };
  readonly actions: Actions;
  readonly applied: ReadonlyMap<number, string>;
}

/** The list of cards, of which only those in sight are in the document. */
export function GroupList({ content, groups, decisions, cursor, actions, applied }: ListProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [size, setSize] = useState({ height: 800, card: 330 });
  useLayoutEffect(() => {
    const element = box.current as HTMLDivElement;
    const measure = (): void => {
      const card = parseFloat(getComputedStyle(element).getPropertyValue("--card")) || 330;
      setSize({ height: element.clientHeight, card });
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const element = box.current as HTMLDivElement;
    const start = cursor.place * size.card;
    if (start < element.scrollTop) element.scrollTop = start;
    else if (start + size.card > element.scrollTop + element.clientHeight)
      element.scrollTop = start + size.card - element.clientHeight;
  }, [cursor.place, size.card, size.height]);
  const first = Math.max(0, Math.floor(top / size.card) - OVERSCAN);
  const last = Math.min(groups.length, Math.ceil((top + size.height) / size.card) + OVERSCAN);
  return (
    <div class="list" ref={box} onScroll={() => setTop(box.current?.scrollTop ?? 0)} tabIndex={-1}>
      {groups.length === 0 && (
        <p class="empty">{content.groups.length > 0 ? "No group fits the filter." : content.served?.history ? "There is nothing to decide. What was removed is in the view Done." : content.compared ? "No duplicates were found." : "Files were read and not compared yet."}</p>
      )}
      <div role="list" aria-label="Groups of duplicates" style={{ height: `${groups.length * size.card}px`, position: "relative" }}>
        {groups.slice(first, last).map((group, offset) => {
          const place = first + offset;
          return (
            <div
              key={group.id}
              role="listitem"
              aria-setsize={groups.length}
              aria-posinset={place + 1}
              class="slot"
              style={{ transform: `translateY(${place * size.card}px)` }}
            >
              <Card
                content={content}
                group={group}
                decision={decisions.get(group.id)}
                selected={place === cursor.place ? cursor.file : -1}
                actions={actions}
                applied={applied.get(group.id)}
              />
            </div>
          );
        })}
      </div>
    </div>
  );
}

interface CardProps {
  readonly content: PageContent;
  readonly group: Group;
  readonly decision: GroupDecision | undefined;
  /** The file under the cursor, -1 if it is elsewhere. */
  readonly selected: number;
  readonly actions: Actions;
  readonly applied: string | undefined;
}

const Card = memo(function Card({ content, group, decision, selected, actions, applied }: CardProps): JSX.Element {
  const now = decision ?? current(group, new Map());
  const files = filesOf(group);
  const order = [now.keeper, ...files.filter((file) => file !== now.keeper)];
  const strip = useRef<HTMLDivElement>(null);
  const gone = goneOf(group);
  const { bytes } = weightOfAll(content, group, gone.length > 0 ? gone : now.remove);
  useEffect(() => {
    if (selected < 0) return;
    strip.current?.querySelector(`[data-file="${selected}"]`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [selected]);
  const state = applied ? "applied" : decision ? (now.notDuplicates ? "different" : "decided") : "open";
  return (
    <section class={`card ${state} ${selected >= 0 ? "current" : ""}`} aria-label={`Group ${group.id + 1}`}>
      <header>
        <p class="why" title={headline(group, now)}>{headline(group, now)}</p>
        <span class="gain">{bytes > 0 ? `${gone.length > 0 ? "freed" : "frees"} ${sizeWords(bytes)}` : ""}</span>
        <span class="state">{applied ?? STATE_WORDS[state]}</span>
        <span class="tools">
          {decision && !applied ? (
            <button type="button" onClick={() => actions.forget(group)} title="Take the decision back">
              Undo
            </button>
          ) : (
            !applied && (
              <button type="button" class="primary" onClick={() => actions.accept(group)} title="Decide as proposed (space)">
                {now.remove.length > 0 ? `Remove ${now.remove.length}` : "Keep all"}
              </button>
            )
          )}
          {!applied && !now.notDuplicates && (
            <button type="button" onClick={() => actions.notDuplicates(group)} title="Keep all: these are not duplicates (n)">
              Not duplicates
            </button>
          )}
          <button type="button" onClick={() => actions.compare(group, selected >= 0 ? selected : order[1] ?? group.keeper)} title="Compare (d)">
            Compare
          </button>
        </span>
      </header>
      <div class="strip" ref={strip}>
        {order.slice(0, MOST_TILES).map((file) => (
          <Tile key={file} content={content} group={group} decision={now} file={file} selected={file === selected} actions={actions} locked={applied !== undefined} done={applied === "removed"} />
        ))}
        {order.length > MOST_TILES && (
          <button type="button" class="tile more" onClick={() => actions.compare(group, order[MOST_TILES] as number)}>
            and {countWords(order.length - MOST_TILES, "more file")}
          </button>
        )}
      </div>
    </section>
  );
});

const STATE_WORDS = { open: "", decided: "decided", different: "not duplicates", applied: "" } as const;

function headline(group: Group, decision: GroupDecision): string {
  if (decision.notDuplicates) return "Not duplicates: everything stays.";
  if (decision.keeper !== group.keeper) return "You chose the file that stays.";
  if (group.reported) return "Shown only: nothing of this is removed unless you say so.";
  return group.members[0]?.why ?? "";
}

interface TileProps {
  readonly content: PageContent;
  readonly group: Group;
  readonly decision: GroupDecision;
  readonly file: number;
  readonly selected: boolean;
  readonly actions: Actions;
  readonly locked: boolean;
  /** Whether all files that were to go have gone. */
  readonly done: boolean;
}

function Tile({ content, group, decision, file: id, selected, actions, locked, done }: TileProps): JSX.Element {
  const file = content.files[id] as PageFile;
  const keeper = content.files[decision.keeper] as PageFile;
  const isKeeper = id === decision.keeper;
  const member = memberOf(group, id);
  const gone = member !== undefined && isGone(member);
  const goes = gone || decision.remove.includes(id);
  const why = obstacle(group, decision.keeper, id);
  const path = pathOf(content, file);
  const verdict = gone ? (DONE_WORDS[member.action ?? ""] ?? "removed") : isKeeper ? "keep" : goes ? (done ? "removed" : "remove") : "stays";
  return (
    <div class={`tile ${isKeeper ? "keeper" : goes ? "goes" : "stays"} ${selected ? "selected" : ""}`} data-file={id}>
      <button
        type="button"
        class="picture"
        onClick={() => actions.select(group, id)}
        onDblClick={() => actions.compare(group, id)}
        aria-label={`${file.name}: ${verdict}${extent(file) ? `, ${extent(file)}` : ""}`}
      >
        <Thumb content={content} file={file} alt="" />
        <span class="verdict">{verdict}</span>
        {extent(file) && <span class="frames">{extent(file)}</span>}
      </button>
      <div class="name" title={path}>
        {cutName(file.name).map((part, place) => (
          <span key={place} class={place === 0 ? "head" : ""}>
            {part}
          </span>
        ))}
      </div>
      <div class="folder" title={path}>
        <bdi>{shortFolder(content, file.folder)}</bdi>
      </div>
      <div class="facts">{factsOf(file, isKeeper ? undefined : keeper)}</div>
      <div class="chips" title={member ? whatWasDone(content, group, member).join(", ") : ""}>{chipsOf(content, group, decision, id)}</div>
      {!locked && (
        <div class="buttons">
          {!isKeeper && (
            <button type="button" disabled={why !== ""} title={why || (goes ? "Keep it (k)" : "Remove it (x)")} onClick={() => actions.toggle(group, id)}>
              {goes ? "Keep" : "Remove"}
            </button>
          )}
          {!isKeeper && (
            <button type="button" onClick={() => actions.makeKeeper(group, id)} title="This one stays instead (m)">
              Make keeper
            </button>
          )}
          {!isKeeper && member && (
            <button type="button" onClick={() => actions.like(group, id)} title={`Remove everything ${CLASS_WORDS[member.class]} in this folder`} aria-label="Decide for all like this">
              …
            </button>
          )}
        </div>
      )}
    </div>
  );
}

function factsOf(file: PageFile, keeper: PageFile | undefined): JSX.Element {
  const pixels = file.width * file.height;
  const than = keeper ? keeper.width * keeper.height : pixels;
  const mark = (own: number, other: number): string => (own > other ? "more" : own < other ? "less" : "");
  return (
    <>
      <span class={mark(pixels, than)}>{pixelWords(file)}</span>
      <span class={mark(file.size, keeper?.size ?? file.size)}>{sizeWords(file.size)}</span>
      <span>{file.format || "unknown"}</span>
      {file.video && (
        <span title={[file.video.codec, rateWords(file.video), ...file.video.audio].join(", ")}>
          {file.video.codec} {Math.round(file.video.rate)} fps{file.video.audio.length === 0 ? ", no sound" : ""}
        </span>
      )}
      <span title={file.captured ? `Taken ${file.captured.replace("T", " ")}` : "Time of the file"}>{dayOf(file)}</span>
    </>
  );
}

/** The end of a name, in characters, which always stays in sight: it is what the names of copies differ in. */
const TAIL = 12;

/** Return a name in two parts of which the first one may be cut off; a short name is one part. */
function cutName(name: string): readonly string[] {
  const characters = [...name];
  return characters.length > 20 ? [characters.slice(0, -TAIL).join(""), characters.slice(-TAIL).join("")] : [name];
}

/** Return the length of a video or the number of frames of an animation; empty for a still picture. */
function extent(file: PageFile): string {
  if (file.video) return `▶ ${lengthWords(file.video.seconds)}`;
  return file.frames > 1 ? `${file.frames} frames` : "";
}

function chipsOf(content: PageContent, group: Group, decision: GroupDecision, id: number): JSX.Element[] {
  const member = memberOf(group, id);
  if (!member) return group.keeper === decision.keeper ? [] : [<span class="chip">the first keeper</span>];
  const chips = [
    <span class={`chip ${member.class}`} title={CLASS_MEANING[member.class]}>
      {CLASS_WORDS[member.class]}
    </span>,
  ];
  const only = onlyHere(content.files[id] as PageFile, content.files[decision.keeper] as PageFile);
  if (only.length > 0) chips.push(<span class="chip only" title={`Only this file has: ${only.join(", ")}`}>only here: {only.join(", ")}</span>);
  for (const words of whatWasDone(content, group, member)) chips.push(<span class="chip" title={words}>{words}</span>);
  if (member.message) chips.push(<span class="chip trouble" title={member.message}>{member.outcome}</span>);
  return chips;
}
