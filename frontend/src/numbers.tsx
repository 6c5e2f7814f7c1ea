/** What can be freed, by folder, class and year; and folders that lie in others. */

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";

import { decideEach, obstacle, relative, shortFolder, type Decisions } from "./decisions.ts";
import { containments, isBetween, numbers, type Bar } from "./folders.ts";
import type { Group, PageContent } from "./model.ts";
import { countWords, sizeWords } from "./text.ts";

const MOST_ROWS = 30;

interface NumbersProps {
  readonly content: PageContent;
  readonly groups: readonly Group[];
  readonly decisions: Decisions;
  decide(next: Decisions, words: string): void;
  filterFolder(folder: string): void;
}

export function NumbersView({ content, groups, decisions, decide, filterFolder }: NumbersProps): JSX.Element {
  const found = useMemo(() => numbers(content, groups, decisions), [content, groups, decisions]);
  // After a run, what a folder has is not what the groups were made of.
  const before = content.dry_run || content.served !== undefined;
  const inside = useMemo(() => (before ? containments(content) : []), [content]);
  const title = before ? "To free" : "Freed";
  const short = (name: string): string => (name === content.base ? name.slice(name.lastIndexOf("/") + 1) || name : relative(content, name));
  return (
    <div class="numbers">
      {before && <section>
        <h2>Folders in other folders</h2>
        {inside.length === 0 && <p class="empty">No folder shares pictures with another one.</p>}
        <ul class="containments">
          {inside.slice(0, MOST_ROWS).map(({ folder, other, files, bytes, share, groups: between }) => {
            const picks = (group: Group, file: number): boolean => isBetween(content, group, file, folder, other) && obstacle(group, group.keeper, file) === "";
            return (
              <li key={`${folder} ${other}`}>
                <p>
                  <strong>{share === null ? `${countWords(files, "file")} of` : `${percent(share)} of`}</strong>{" "}
                  <button type="button" class="link" onClick={() => filterFolder(content.folders[folder]?.name ?? "")}>
                    <bdi>{shortFolder(content, folder)}</bdi>
                  </button>{" "}
                  {share === null ? (files === 1 ? "is" : "are") : "is"} also in <bdi class="path">{shortFolder(content, other)}</bdi>
                  <span class="quiet">
                    {countWords(files, "file")}, {sizeWords(bytes)}
                  </span>
                </p>
                <span class="buttons">
                  <button type="button" onClick={() => decide(decideEach(decisions, between, picks, "remove"), `${countWords(files, "file")} to be removed from ${shortFolder(content, folder)}`)}>
                    Remove {countWords(files, "file")}
                  </button>
                  <button type="button" onClick={() => decide(decideEach(decisions, between, picks, "keep"), `${countWords(files, "file")} stay in ${shortFolder(content, folder)}`)}>
                    Keep
                  </button>
                </span>
              </li>
            );
          })}
        </ul>
        {inside.length > MOST_ROWS && <p class="quiet">and {countWords(inside.length - MOST_ROWS, "more pair")} of folders</p>}
      </section>}
      <Bars title={`${title}, by folder`} bars={found.folders.map((bar) => ({ ...bar, name: short(bar.name) }))} />
      <Bars title={`${title}, by class`} bars={found.classes} />
      <Bars title={`${title}, by year`} bars={found.years} />
    </div>
  );
}

function percent(share: number): string {
  return share === 1 ? "All" : `${Math.min(99, Math.round(share * 100))} %`;
}

function Bars({ title, bars }: { title: string; bars: readonly Bar[] }): JSX.Element {
  const most = Math.max(1, ...bars.map((bar) => bar.bytes));
  return (
    <section>
      <h2>{title}</h2>
      {bars.length === 0 && <p class="empty">Nothing.</p>}
      <table class="bars">
        <tbody>
          {bars.slice(0, MOST_ROWS).map((bar) => (
            <tr key={bar.name}>
              <th scope="row">
                <bdi>{bar.name}</bdi>
              </th>
              <td class="bar">
                <span style={{ width: `${(100 * bar.bytes) / most}%` }} />
              </td>
              <td class="amount">{sizeWords(bar.bytes)}</td>
              <td class="amount">{countWords(bar.files, "file")}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {bars.length > MOST_ROWS && <p class="quiet">and {(bars.length - MOST_ROWS).toLocaleString("en")} more</p>}
    </section>
  );
}
