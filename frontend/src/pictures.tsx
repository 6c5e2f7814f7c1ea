/** Where the pixels come from: embedded in the page, beside it, or from the server that served it. */

import { useEffect, useState } from "preact/hooks";
import type { JSX } from "preact";

import type { PageContent, PageFile } from "./model.ts";

const RETRY_MILLISECONDS = 150;

/** Return the address of a thumbnail; `null` if the page has none, `undefined` if it is still being read. */
export function thumbnail(content: PageContent, id: number): string | null | undefined {
  if (content.served) return `${content.served.base}picture/${id}/thumbnail`;
  if (content.pictures_beside) return `${content.pictures_beside}/${id}.webp`;
  const element = document.getElementById(`p${id}`);
  if (element?.textContent) return `data:image/webp;base64,${element.textContent}`;
  return document.readyState === "complete" ? null : undefined;
}

/** Return the address of a picture in a size for the whole screen, if the page can reach one. */
export function large(content: PageContent, id: number): string | null {
  return content.served ? `${content.served.base}picture/${id}/screen` : null;
}

/** Return the address of the file itself, for a page that was opened as a file. */
export function original(content: PageContent, file: PageFile): string | null {
  if (content.served) return `${content.served.base}picture/${file.id}/full`;
  if (location.protocol !== "file:") return null;
  if (file.exact) return file.exact.address;
  const folder = content.folders[file.folder]?.address;
  return folder === undefined ? null : `${folder}/${encodeURIComponent(file.name)}`;
}

interface ThumbProps {
  readonly content: PageContent;
  readonly file: PageFile;
  readonly alt: string;
}

/** A thumbnail, or a word where there is none. */
export function Thumb({ content, file, alt }: ThumbProps): JSX.Element {
  const [source, setSource] = useState(() => thumbnail(content, file.id));
  const [broken, setBroken] = useState(false);
  useEffect(() => {
    setBroken(false);
    const found = thumbnail(content, file.id);
    setSource(found);
    if (found !== undefined) return;
    // The page is still being read, and this picture comes further down.
    const timer = setInterval(() => {
      const now = thumbnail(content, file.id);
      if (now !== undefined) {
        setSource(now);
        clearInterval(timer);
      }
    }, RETRY_MILLISECONDS);
    return () => clearInterval(timer);
  }, [content, file.id]);
  if (source === undefined) return <span class="no-picture" aria-busy="true" />;
  if (source === null || broken) return <span class="no-picture">{file.damage ? "damaged" : "no preview"}</span>;
  return <img src={source} alt={alt} draggable={false} loading="lazy" decoding="async" onError={() => setBroken(true)} />;
}
