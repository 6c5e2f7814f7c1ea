/** The page: totals, filters, and the three views. */

import { render, type JSX } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";

import { Compare } from "./compare.tsx";
import * as decide from "./decisions.ts";
import type { Decisions } from "./decisions.ts";
import { chosen, EVERYTHING, facets, indexed, isFiltered, isLike, SORTS, type Filter, type Sort, type State } from "./filter.ts";
import { DoneView } from "./done.tsx";
import { GraphView } from "./graph.tsx";
import { GroupList, type Actions } from "./groups.tsx";
import { COPIES, filesOf, goneOf, memberOf, weightOf, type Group, type MatchClass, type PageContent } from "./model.ts";
import { NumbersView } from "./numbers.tsx";
import * as server from "./served.ts";
import { CLASS_MEANING, CLASS_WORDS, countWords, sizeWords } from "./text.ts";

type Tab = "groups" | "graph" | "numbers" | "done";
const TABS: Readonly<Record<Tab, string>> = { groups: "Groups", graph: "Graph", numbers: "Numbers", done: "Done" };
const MOST_FOLDERS = 300;
const MOST_UNDO = 200;
const POLL_MILLISECONDS = 250;
const BUSY_WORDS = { compare: "Comparing", apply: "Removing", undo: "Bringing back" } as const;

interface AppProps {
  readonly content: PageContent;
}

function readStored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // a browser that keeps nothing for files
  }
}

function store(key: string, text: string): void {
  try {
    localStorage.setItem(key, text);
  } catch {
    // Full, or not allowed: the decisions last as long as the page.
  }
}

function App({ content }: AppProps): JSX.Element {
  const key = `py-image-dedup ${content.run}`;
  const index = useMemo(() => indexed(content), [content]);
  const found = useMemo(() => facets(index), [index]);
  const [decisions, setDecisions] = useState<Decisions>(() => decide.restored(content, readStored(key)));
  const history = useRef<Decisions[]>([]);
  const [filter, setFilter] = useState<Filter>(EVERYTHING);
  const [tab, setTab] = useState<Tab>("groups");
  const [cursor, setCursor] = useState({ place: 0, file: -1 });
  const [compared, setCompared] = useState<{ group: Group; file: number } | null>(null);
  const [help, setHelp] = useState(false);
  const [bulk, setBulk] = useState<{ group: Group; file: number } | null>(null);
  const [toast, setToast] = useState("");
  const [open, setOpen] = useState(false);
  const [state, setState] = useState<server.Status | null>(null);
  const [asking, setAsking] = useState(false);
  const [ended, setEnded] = useState(false);
  const search = useRef<HTMLInputElement>(null);

  // A group that was just decided stays in sight until the filter changes: nothing jumps away under the hand.
  const groups = useMemo(() => chosen(index, filter, decisions), [index, filter]);
  const totals = useMemo(() => decide.totals(content, groups, decisions), [content, groups, decisions]);
  const all = useMemo(() => decide.totals(content, content.groups, decisions), [content, decisions]);
  const applied = useMemo(() => new Map([...doneGroups(content), ...appliedGroups(state, decisions)]), [content, state, decisions]);

  const latest = useRef({ decisions, groups, cursor, applied });
  latest.current = { decisions, groups, cursor, applied };

  const change = useCallback((next: Decisions, words = ""): void => {
    const before = latest.current.decisions;
    if (next === before) return;
    history.current = [...history.current.slice(-MOST_UNDO), before];
    latest.current.decisions = next;
    setDecisions(next);
    store(key, decide.stored(next));
    if (words) setToast(words);
  }, [key]);
  const takeBack = useCallback((): void => {
    const before = history.current.pop();
    if (!before) {
      setToast("There is nothing to take back.");
      return;
    }
    latest.current.decisions = before;
    setDecisions(before);
    store(key, decide.stored(before));
    setToast("Taken back.");
  }, [key]);

  const actions: Actions = useMemo(() => {
    const free = (group: Group): boolean => !latest.current.applied.has(group.id);
    const now = (): Decisions => latest.current.decisions;
    const select = (group: Group, file: number): void => {
      const place = latest.current.groups.indexOf(group);
      if (place >= 0) setCursor({ place, file });
    };
    return {
      select,
      toggle(group, file) {
        if (!free(group)) return;
        const decision = decide.current(group, now());
        const verdict = decision.remove.includes(file) ? "keep" : "remove";
        const why = verdict === "remove" ? decide.obstacle(group, decision.keeper, file) : "";
        if (why) setToast(why);
        else change(decide.decide(now(), group, file, verdict));
      },
      makeKeeper(group, file) {
        if (!free(group)) return;
        change(decide.makeKeeper(now(), group, file));
        select(group, file);
      },
      accept: (group) => free(group) && change(decide.accept(now(), group)),
      forget: (group) => free(group) && change(decide.forget(now(), group)),
      notDuplicates: (group) => free(group) && change(decide.notDuplicates(now(), group)),
      compare: (group, file) => setCompared({ group, file }),
      like: (group, file) => setBulk({ group, file }),
    };
  }, [change]);

  useEffect(() => {
    if (!toast) return;
    const timer = setTimeout(() => setToast(""), 4000);
    return () => clearTimeout(timer);
  }, [toast]);
  useEffect(() => setCursor({ place: 0, file: -1 }), [filter]);

  const served = content.served;
  const poll = useCallback(async (): Promise<void> => {
    if (!served) return;
    try {
      setState(await server.status(served));
    } catch (error) {
      setToast(String((error as Error).message));
    }
  }, [served]);
  useEffect(() => void poll(), [poll]);
  const busy = state?.job ?? null;
  const [finished, setFinished] = useState(0);
  useEffect(() => {
    if (!busy) setFinished((before) => before + 1);
  }, [busy !== null]);
  useEffect(() => {
    if (!busy) return;
    const timer = setInterval(() => void poll(), POLL_MILLISECONDS);
    return () => clearInterval(timer);
  }, [busy !== null, poll]);
  useEffect(() => {
    if (state?.error) setToast(state.error);
  }, [state?.error]);
  const ask = (what: Promise<server.Status>): void => {
    what.then(setState, (error: Error) => setToast(error.message));
  };

  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      if (target.closest("input[type=search], select, textarea, dialog[open]") || event.altKey) {
        if (event.key === "Escape" && target === search.current) search.current?.blur();
        return;
      }
      if ((event.ctrlKey || event.metaKey) && event.key !== "z") return;
      if (press(event.key, target)) event.preventDefault();
    };
    const press = (pressed: string, target: HTMLElement): boolean => {
      const { groups: listed, cursor: at } = latest.current;
      const group = listed[at.place];
      if (pressed === "?") setHelp(true);
      else if (pressed === "/") search.current?.focus();
      else if (pressed === "u" || pressed === "z") takeBack();
      else if (pressed === "g") setTab((before) => (before === "graph" ? "groups" : "graph"));
      else if (tab !== "groups" || !group) return false;
      else return pressOnGroup(pressed, target, group, at);
      return true;
    };
    const pressOnGroup = (pressed: string, target: HTMLElement, group: Group, at: { place: number; file: number }): boolean => {
      const { groups: listed } = latest.current;
      const decision = decide.current(group, latest.current.decisions);
      const order = [decision.keeper, ...filesOf(group).filter((file) => file !== decision.keeper)];
      const file = order.includes(at.file) ? at.file : (order[1] as number);
      const go = (place: number): void => {
        const next = Math.max(0, Math.min(listed.length - 1, place));
        if (next !== at.place) setCursor({ place: next, file: -1 });
      };
      if (pressed === "ArrowDown" || pressed === "j") go(at.place + 1);
      else if (pressed === "ArrowUp") go(at.place - 1);
      else if (pressed === "PageDown") go(at.place + 5);
      else if (pressed === "PageUp") go(at.place - 5);
      else if (pressed === "Home") go(0);
      else if (pressed === "End") go(listed.length - 1);
      else if (pressed === "ArrowRight" || pressed === "ArrowLeft") {
        const step = pressed === "ArrowRight" ? 1 : -1;
        const next = at.file < 0 ? 1 : order.indexOf(file) + step;
        setCursor({ place: at.place, file: order[Math.max(0, Math.min(order.length - 1, next))] as number });
      } else if (pressed === " ") {
        if (target.closest("button, summary, input")) return false;
        if (!latest.current.decisions.has(group.id)) actions.accept(group);
        go(at.place + 1);
      } else if (pressed === "k") {
        if (!decision.remove.includes(file)) actions.accept(group);
        if (decision.remove.includes(file)) actions.toggle(group, file);
        else change(decide.decide(latest.current.decisions, group, file, "keep"));
      } else if (pressed === "x") {
        if (file === decision.keeper) setToast("It is the file that stays: choose another keeper first (m).");
        else if (decide.obstacle(group, decision.keeper, file)) actions.toggle(group, file);
        else if (!latest.current.applied.has(group.id)) change(decide.decide(latest.current.decisions, group, file, "remove"));
      } else if (pressed === "m") actions.makeKeeper(group, file);
      else if (pressed === "n") {
        actions.notDuplicates(group);
        go(at.place + 1);
      } else if (pressed === "d" || pressed === "Enter") {
        if (pressed === "Enter" && target.closest("button, summary")) return false;
        actions.compare(group, file);
      } else return false;
      return true;
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [tab, actions, change, takeBack]);

  const save = (): void => {
    const text = JSON.stringify(decide.exported(content, decisions), null, 1);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${text}\n`], { type: "application/json" }));
    link.download = "decisions.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    setToast("Saved. Carry it out with: py-image-dedup apply PLAN --decisions decisions.json");
  };
  const undecided = groups.filter((group) => !decisions.has(group.id) && !applied.has(group.id));
  const pending = useMemo(
    () => content.groups.filter((group) => decisions.has(group.id) && !applied.has(group.id)),
    [content, decisions, applied],
  );
  const waiting = useMemo(() => decide.totals(content, pending, decisions), [content, pending, decisions]);
  const applyNow = (): void => {
    setAsking(false);
    if (!served) return;
    const sent = new Map([...decisions].filter(([id]) => !applied.has(id)));
    ask(server.apply(served, decide.exported(content, sent)));
  };

  if (ended) return <main class="ended"><h1>The review has ended.</h1><p>What was applied can be taken back with <code>py-image-dedup undo RUN</code>. You can close this page.</p></main>;
  return (
    <>
      <header class="top">
        <h1>
          Duplicates
        </h1>
        <nav aria-label="Views">
          {(Object.keys(TABS) as Tab[]).filter((name) => name !== "done" || served?.history).map((name) => (
            <button type="button" key={name} aria-current={tab === name ? "page" : undefined} onClick={() => setTab(name)}>
              {TABS[name]}
            </button>
          ))}
        </nav>
        <div class="totals" role="status" aria-label="Totals">
          <span>
            <b>{totals.groups.toLocaleString("en")}</b> {totals.groups === 1 ? "group" : "groups"}
          </span>
          {totals.gone > 0 && (
            <span>
              <b>{totals.gone.toLocaleString("en")}</b> removed, <b>{sizeWords(totals.goneBytes)}</b> freed
            </span>
          )}
          {(content.dry_run || served || totals.removable > 0) && (
            <>
              <span>
                <b>{totals.removable.toLocaleString("en")}</b> to remove
              </span>
              <span>
                <b>{sizeWords(totals.bytes)}</b> to free
              </span>
            </>
          )}
          <span class="progress" title={`${all.decidedGroups} of ${all.groups} groups are decided`}>
            <b>{all.decidedGroups.toLocaleString("en")}</b> decided
            <meter aria-label="Decided groups" min={0} max={Math.max(1, all.groups)} value={all.decidedGroups} />
          </span>
        </div>
        <span class="buttons">
          <button type="button" onClick={takeBack} title="Take the last decision back (u)" aria-label="Take the last decision back">
            ↶
          </button>
          <button type="button" onClick={() => setHelp(true)} aria-label="Help and keys" title="Help and keys (?)">
            ?
          </button>
          {served ? (
            <button type="button" class="primary" disabled={busy !== null || pending.length === 0} onClick={() => setAsking(true)} {...(busy || pending.length === 0 ? {} : { "aria-label": `Apply ${countWords(waiting.decidedGroups, "group")}` })}>
              {busy ? `${BUSY_WORDS[busy.verb]} ${busy.done} of ${busy.total}` : "Apply"}
              {!busy && pending.length > 0 && (
                <>
                  {` ${waiting.decidedGroups.toLocaleString("en")}`}
                  <span class="wide">{waiting.decidedGroups === 1 ? " group" : " groups"}</span>
                </>
              )}
            </button>
          ) : (
            <button type="button" class="primary" disabled={all.decidedGroups === 0} onClick={save}>
              Save<span class="wide"> decisions</span>
            </button>
          )}
        </span>
      </header>
      {served && (
        <StepList state={state} daemon={served.history} undo={(run) => ask(server.undo(served, run))}>
          {served.end && (
            <button type="button" class="end" disabled={busy !== null} onClick={() => server.end(served).then(() => setEnded(true), (error: Error) => setToast(error.message))}>
              End review
            </button>
          )}
          {!served.end && (
            <a class="button end" href={served.home}>
              Refresh
            </a>
          )}
          {served.logout && (
            <button type="button" onClick={() => void server.logout(served)}>
              Log out
            </button>
          )}
        </StepList>
      )}
      <div class="body">
        {(tab === "groups" || tab === "graph") && (
          <aside class={open ? "open" : ""} aria-label="Filters">
            <button type="button" class="fold" aria-expanded={open} onClick={() => setOpen(!open)}>
              Filter and sort{isFiltered(filter) ? " (on)" : ""}
            </button>
            <div class="filters">
              <label>
                Search
                <input ref={search} type="search" placeholder="name, folder, change" value={filter.text} onInput={(event) => setFilter({ ...filter, text: event.currentTarget.value })} />
              </label>
              <label>
                Sort
                <select aria-label="Sort" value={filter.sort} onChange={(event) => setFilter({ ...filter, sort: event.currentTarget.value as Sort })}>
                  {Object.entries(SORTS).map(([value, words]) => (
                    <option key={value} value={value}>
                      {words}
                    </option>
                  ))}
                </select>
              </label>
              <fieldset>
                <legend>Class</legend>
                {found.classes.map(([name, count]) => (
                  <label key={name} class="check" title={CLASS_MEANING[name]}>
                    <input type="checkbox" checked={filter.classes.has(name)} onChange={() => setFilter({ ...filter, classes: toggled(filter.classes, name) })} />
                    <span class={`dot ${name}`} /> {CLASS_WORDS[name]} <span class="quiet">{count.toLocaleString("en")}</span>
                  </label>
                ))}
              </fieldset>
              <Choice words="Folder" value={filter.folder} options={found.folders.slice(0, MOST_FOLDERS)} label={(name) => shorten(content, name)} choose={(folder) => setFilter({ ...filter, folder })} />
              <Choice words="Format" value={filter.format} options={found.formats} choose={(format) => setFilter({ ...filter, format })} />
              <Choice words="Reason" value={filter.rule} options={found.rules} label={(name) => name.replaceAll("-", " ")} choose={(rule) => setFilter({ ...filter, rule })} />
              <label>
                State
                <select aria-label="State" value={filter.state} onChange={(event) => setFilter({ ...filter, state: event.currentTarget.value as State })}>
                  <option value="all">all</option>
                  <option value="open">not decided</option>
                  <option value="decided">decided</option>
                </select>
              </label>
              {isFiltered(filter) && (
                <button type="button" onClick={() => setFilter({ ...EVERYTHING, sort: filter.sort })}>
                  Show all
                </button>
              )}
              <fieldset class="bulk">
                <legend>For all {countWords(groups.length, "group")} shown</legend>
                <button type="button" disabled={undecided.length === 0} onClick={() => change(decide.forAll(decisions, undecided, decide.accept), `${countWords(undecided.length, "group")} decided as proposed.`)}>
                  Decide as proposed ({undecided.length.toLocaleString("en")})
                </button>
                <button type="button" disabled={totals.decidedGroups === 0} onClick={() => change(decide.forAll(decisions, groups.filter((group) => !applied.has(group.id)), decide.forget), "Decisions taken back.")}>
                  Take decisions back
                </button>
              </fieldset>
              <p class="quiet">
                {countWords(content.files_searched, "file")} searched
                {content.unreadable > 0 && `, ${content.unreadable.toLocaleString("en")} not readable`}. Run {content.run}.
              </p>
            </div>
          </aside>
        )}
        <main>
          {tab === "groups" && <GroupList content={content} groups={groups} decisions={decisions} cursor={cursor} actions={actions} applied={applied} />}
          {tab === "graph" && <GraphView content={content} groups={groups} decisions={decisions} open={(group, file) => setCompared({ group, file })} />}
          {tab === "done" && served && (
            <DoneView
              content={content}
              served={served}
              turn={busy ? "busy" : `${state?.applied.length ?? 0} ${finished}`}
              busy={busy !== null}
              undo={(run, files) => ask(server.undo(served, run, files))}
              fail={setToast}
            />
          )}
          {tab === "numbers" && (
            <NumbersView
              content={content}
              groups={content.groups}
              decisions={decisions}
              decide={change}
              filterFolder={(folder) => {
                setFilter({ ...EVERYTHING, folder });
                setTab("groups");
              }}
            />
          )}
        </main>
      </div>
      {compared && <Compare content={content} group={compared.group} file={compared.file} decisions={decisions} actions={actions} locked={applied.has(compared.group.id)} close={() => setCompared(null)} />}
      {help && <Help close={() => setHelp(false)} served={served !== undefined} />}
      {bulk && <Bulk content={content} pick={bulk} groups={content.groups.filter((group) => !applied.has(group.id))} decisions={decisions} change={change} close={() => setBulk(null)} />}
      {asking && (
        <Modal title={`Remove ${countWords(waiting.decidedFiles, "file")}, ${sizeWords(waiting.decidedBytes)}?`} close={() => setAsking(false)}>
          <p>
            {countWords(waiting.decidedGroups, "decided group")}. Each file is checked again before it goes: one that has changed is left alone. Every step can be taken back from this page.
          </p>
          <p class="buttons">
            <button type="button" class="primary" onClick={applyNow}>
              {waiting.decidedFiles > 0 ? `Remove ${countWords(waiting.decidedFiles, "file")}` : "Done with these groups"}
            </button>
            <button type="button" onClick={() => setAsking(false)}>
              Not yet
            </button>
          </p>
        </Modal>
      )}
      <div class="toast" role="status" aria-live="polite" hidden={!toast}>
        {toast}
      </div>
    </>
  );
}

function toggled<T>(set: ReadonlySet<T>, value: T): Set<T> {
  const next = new Set(set);
  if (!next.delete(value)) next.add(value);
  return next;
}

function shorten(content: PageContent, name: string): string {
  if (name === content.base) return name.slice(name.lastIndexOf("/") + 1) || name;
  return content.base && name.startsWith(`${content.base}/`) ? name.slice(content.base.length + 1) : name;
}

/** Return the groups of which the run has removed files, each with what became of it. */
function doneGroups(content: PageContent): Map<number, string> {
  const found = new Map<number, string>();
  for (const group of content.groups) {
    const gone = goneOf(group).length;
    if (gone > 0) found.set(group.id, gone === group.members.length ? "removed" : "partly removed");
  }
  return found;
}

/** Return the groups that are done with, each with what became of it. */
function appliedGroups(state: server.Status | null, decisions: Decisions): Map<number, string> {
  const found = new Map<number, string>();
  for (const one of state?.applied ?? [])
    for (const id of one.groups)
      if (one.undone) found.delete(id);
      else if (decisions.get(id)?.remove.length === 0) found.set(id, "kept");
      else found.set(id, decisions.get(id)?.remove.some((file) => one.left.includes(file)) ? "partly removed" : "removed");
  return found;
}

interface ChoiceProps {
  readonly words: string;
  readonly value: string;
  readonly options: readonly [string, number][];
  label?(name: string): string;
  choose(value: string): void;
}

function Choice({ words, value, options, label = (name) => name, choose }: ChoiceProps): JSX.Element {
  return (
    <label>
      {words}
      <select aria-label={words} value={value} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="">all</option>
        {value !== "" && !options.some(([name]) => name === value) && <option value={value}>{label(value)}</option>}
        {options.map(([name, count]) => (
          <option key={name} value={name}>
            {label(name) || "unknown"} ({count.toLocaleString("en")})
          </option>
        ))}
      </select>
    </label>
  );
}

interface ModalProps {
  readonly title: string;
  readonly children: preact.ComponentChildren;
  close(): void;
}

function Modal({ title, children, close }: ModalProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} class="modal" aria-label={title} onClose={close}>
      <header>
        <h2>{title}</h2>
        <button type="button" aria-label="Close" onClick={() => dialog.current?.close()}>
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}

const KEYS: readonly [string, string][] = [
  ["↑ ↓", "previous, next group"],
  ["← →", "previous, next file of the group"],
  ["space", "decide the group as proposed and go on"],
  ["k", "keep this file"],
  ["x", "remove this file"],
  ["m", "make this file the keeper"],
  ["n", "these are not duplicates: keep all, go on"],
  ["d", "compare; there: show the difference"],
  ["1 2 3 4 5", "in the comparison: side by side, blink, slider, difference, all files"],
  ["u", "take the last decision back"],
  ["g", "graph and back"],
  ["/", "search"],
  ["?", "this help"],
];

function Help({ close, served }: { close(): void; served: boolean }): JSX.Element {
  return (
    <Modal title="Keys" close={close}>
      <table class="keys">
        <tbody>
          {KEYS.map(([pressed, words]) => (
            <tr key={pressed}>
              <th scope="row">
                <kbd>{pressed}</kbd>
              </th>
              <td>{words}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p>
        {served
          ? "Nothing is removed before you press Apply. Every applied step can be taken back."
          : "Nothing is removed from here. Save your decisions; py-image-dedup apply PLAN --decisions decisions.json carries them out, checks every file again, and can be undone."}
      </p>
      <p>Groups that you do not decide stay as they are.</p>
    </Modal>
  );
}

interface BulkProps {
  readonly content: PageContent;
  readonly pick: { readonly group: Group; readonly file: number };
  readonly groups: readonly Group[];
  readonly decisions: Decisions;
  change(next: Decisions, words?: string): void;
  close(): void;
}

function Bulk({ content, pick, groups, decisions, change, close }: BulkProps): JSX.Element {
  const member = pick.group.members.find((each) => each.file === pick.file);
  const kind: MatchClass = member?.class ?? "identical";
  const folder = content.files[pick.file]?.folder ?? 0;
  const name = decide.shortFolder(content, folder);
  const like = (group: Group, file: number): boolean => isLike(content, group, file, kind, folder) && decide.obstacle(group, decide.current(group, decisions).keeper, file) === "";
  const inFolder = (group: Group, file: number): boolean => content.files[file]?.folder === folder && file !== decide.current(group, decisions).keeper;
  const count = (picks: typeof like): [number, number] => {
    let [files, bytes] = [0, 0];
    for (const group of groups) for (const file of filesOf(group)) if (picks(group, file)) {
      const weight = weightOf(content, group, file);
      [files, bytes] = [files + weight.files, bytes + weight.bytes];
    }
    return [files, bytes];
  };
  const touched = (picks: typeof like): Group[] => groups.filter((group) => filesOf(group).some((file) => picks(group, file)));
  const act = (picks: typeof like, verdict: decide.Verdict, where = name): void => {
    change(decide.decideEach(decisions, touched(picks), picks, verdict), `${countWords(count(picks)[0], "file")} of ${where}: ${verdict}.`);
    close();
  };
  const fromMessenger = (group: Group, file: number): boolean => {
    const its = memberOf(group, file);
    return content.files[file]?.messenger === true && its !== undefined && COPIES.has(its.class) && decide.obstacle(group, decide.current(group, decisions).keeper, file) === "";
  };
  const [sent, sentBytes] = content.files[pick.file]?.messenger ? count(fromMessenger) : [0, 0];
  const [alike, bytes] = count(like);
  const [inside] = count(inFolder);
  return (
    <Modal title="All like this" close={close}>
      <p>
        In <bdi class="path">{name}</bdi>:
      </p>
      <div class="choices">
        <button type="button" onClick={() => act(like, "remove")}>
          Remove everything {CLASS_WORDS[kind]} ({countWords(alike, "file")}, {sizeWords(bytes)})
        </button>
        <button type="button" onClick={() => act(like, "keep")}>
          Keep everything {CLASS_WORDS[kind]} ({countWords(alike, "file")})
        </button>
        <button type="button" onClick={() => act(inFolder, "keep")}>
          Keep everything in this folder ({countWords(inside, "file")})
        </button>
        {sent > 0 && (
          <button type="button" onClick={() => act(fromMessenger, "remove", "messengers")}>
            Remove all copies that messengers sent, in every folder ({countWords(sent, "file")}, {sizeWords(sentBytes)})
          </button>
        )}
      </div>
    </Modal>
  );
}

interface StepListProps {
  readonly state: server.Status | null;
  readonly children: preact.ComponentChildren;
  /** Whether others apply things, too. */
  readonly daemon: boolean;
  undo(run: string): void;
}

function StepList({ state, daemon, undo, children }: StepListProps): JSX.Element {
  const steps = state?.applied ?? [];
  const busy = state?.job ?? null;
  return (
    <div class="steps" aria-label="Applied steps">
      {busy && <progress aria-label="Progress" max={Math.max(1, busy.total)} value={busy.done} />}
      {steps.length === 0 && !busy && <span class="quiet">{daemon ? "Nothing was applied on this page so far." : "Nothing was removed so far."}</span>}
      <ul>
        {[...steps].reverse().map((one) => (
          <li key={one.run} class={one.undone ? "undone" : ""}>
            <span>
              {one.undone ? "Brought back: " : ""}
              {one.done > 0 || one.failed > 0 ? `${countWords(one.done, "file")}, ${sizeWords(one.bytes)}` : `${countWords(one.groups.length, "group")} kept`}
              {one.failed > 0 && <span class="trouble">, {countWords(one.failed, "file")} left alone</span>}
            </span>
            {!one.undone && (
              <button type="button" disabled={busy !== null} onClick={() => undo(one.run)}>
                Undo
              </button>
            )}
            {one.messages.length > 0 && (
              <details>
                <summary>Why</summary>
                {one.messages.map((message) => (
                  <p key={message}>{message}</p>
                ))}
              </details>
            )}
          </li>
        ))}
      </ul>
      {children}
    </div>
  );
}

function main(): void {
  const element = document.getElementById("content");
  const place = document.getElementById("page");
  if (!element?.textContent || !place) return;
  const content = JSON.parse(element.textContent) as PageContent;
  element.remove();
  place.textContent = "";
  render(<App content={content} />, place);
}

main();
