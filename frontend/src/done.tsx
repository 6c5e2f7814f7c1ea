/** What earlier runs removed, where it is now, and how it comes back. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { relative } from "./decisions.ts";
import type { PageContent, Served } from "./model.ts";
import * as server from "./served.ts";
import { CLASS_WORDS, countWords, sizeWords } from "./text.ts";

interface DoneProps {
  readonly content: PageContent;
  readonly served: Served;
  /** Changes when a step has ended: then the list is another one. */
  readonly turn: string;
  readonly busy: boolean;
  undo(run: string, files?: readonly number[]): void;
  fail(words: string): void;
}

/** The runs of the daemon, of the command line and of this page, the newest first. */
export function DoneView({ content, served, turn, busy, undo, fail }: DoneProps): JSX.Element {
  const [runs, setRuns] = useState<readonly server.EarlierRun[] | null>(null);
  useEffect(() => {
    server.history(served).then(setRuns, (error: Error) => fail(error.message));
  }, [served, turn]);
  if (!runs) return <div class="done-view"><p class="empty">Reading…</p></div>;
  return (
    <div class="done-view">
      {runs.length === 0 && <p class="empty">Nothing was removed so far.</p>}
      {served.removes && runs.length > 0 && (
        <p class="hint">
          What you restore here is remembered as no duplicate and stays, until you start a removal yourself.
        </p>
      )}
      {runs.map((run) => (
        <Run key={run.run} content={content} served={served} run={run} turn={turn} busy={busy} undo={undo} fail={fail} />
      ))}
    </div>
  );
}

function Run({ content, served, run, turn, busy, undo, fail }: DoneProps & { readonly run: server.EarlierRun }): JSX.Element {
  const [open, setOpen] = useState(false);
  const [files, setFiles] = useState<readonly server.EarlierFile[] | null>(null);
  useEffect(() => {
    if (open) server.historyOf(served, run.run).then(setFiles, (error: Error) => fail(error.message));
  }, [open, turn]);
  const when = new Date(run.when);
  return (
    <section class="run" aria-label={`Run ${run.run}`}>
      <header>
        <h2>
          <time dateTime={run.when} title={run.run}>
            {when.toLocaleDateString("en", { year: "numeric", month: "short", day: "numeric" })}, {when.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false })}
          </time>
        </h2>
        <span>
          {countWords(run.done, "file")}, {sizeWords(run.bytes)}
          {run.restored > 0 && <span class="quiet"> · {run.restored === run.done ? "all" : run.restored.toLocaleString("en")} restored</span>}
          {run.problem && <span class="trouble"> · {run.problem}</span>}
        </span>
        <span class="buttons">
          <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? "Hide files" : "Show files"}
          </button>
          <button type="button" disabled={busy || run.restorable === 0} onClick={() => undo(run.run)}>
            {run.restorable > 0 ? `Restore ${run.restorable.toLocaleString("en")}` : "Nothing to restore"}
          </button>
        </span>
      </header>
      {open && files && (
        <ul class="files">
          {files.map((file) => (
            <li key={file.number}>
              <span class={`dot ${file.class}`} title={CLASS_WORDS[file.class]} />
              <span class="what">
                <bdi class="path" title={file.path}>
                  {relative(content, file.path)}
                </bdi>
                <span class="quiet">
                  {CLASS_WORDS[file.class]} to <bdi class="path" title={file.keeper}>
                    {relative(content, file.keeper)}
                  </bdi>, {sizeWords(file.bytes)}
                  {file.message && ` · ${file.message}`}
                </span>
              </span>
              <span class="place">{file.place}</span>
              <button type="button" disabled={busy || !file.restorable} aria-label={`Restore ${file.path}`} onClick={() => undo(run.run, [file.number])}>
                Restore
              </button>
            </li>
          ))}
          {files.length < run.done && <li class="quiet">and {countWords(run.done - files.length, "more file")}</li>}
        </ul>
      )}
    </section>
  );
}
