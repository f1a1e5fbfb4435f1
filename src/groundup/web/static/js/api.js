// Asking the server. What goes wrong becomes an ApiError with words for the reader.

export class ApiError extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

const PATIENCE = 30000;

async function ask(path, options = {}) {
  const limit = AbortSignal.timeout(PATIENCE);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  let response;
  try {
    response = await fetch(path, { ...options, signal, cache: "no-cache", credentials: "omit" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    if (limit.aborted) throw new ApiError(0, "The server has not answered for 30 seconds: the database or the computer is busy.");
    throw new ApiError(0, "The server does not answer. Was the dashboard stopped?");
  }
  let body = null;
  try {
    body = await response.json();
  } catch {
    if (options.signal?.aborted) throw new DOMException("no longer wanted", "AbortError");
    throw new ApiError(response.status, `The server's answer (${response.status}) is not JSON.`);
  }
  if (!response.ok) throw new ApiError(response.status, body.error ?? `The server answered ${response.status}.`);
  return body;
}

/** `query({ run: ["a", "b"], x: "step", low: null })` is "run=a&run=b&x=step". */
export function query(values) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined) found.append(name, String(one));
    }
  }
  return found.toString();
}

/** Whether an error only says that nobody wants the answer any more. */
export const isAbort = (error) => error?.name === "AbortError";

export const about = () => ask("/api/about");
export const run = (id, signal) => ask(`/api/runs/${encodeURIComponent(id)}`, { signal });
export const series = (values, signal) => ask(`/api/series?${query(values)}`, { signal });
export const layers = (values, signal) => ask(`/api/layers?${query(values)}`, { signal });
export const figures = (runs, signal) => ask(`/api/figures?${query({ run: runs })}`, { signal });
export const claims = (runs, signal) => ask(`/api/claims?${query({ run: runs })}`, { signal });

export const figurePath = (run, file, time) =>
  `/api/runs/${encodeURIComponent(run)}/figures/${encodeURIComponent(file)}?${query({ at: Math.round(time * 1000) })}`;

/** All runs, page by page; `found` is called with each page. */
export async function runs(found) {
  let offset = 0;
  for (;;) {
    const page = await ask(`/api/runs?${query({ offset })}`);
    found(page.runs);
    offset += page.runs.length;
    if (!page.more || !page.runs.length) return;
  }
}

/** Change tags and note of a run. */
export function label(id, changes) {
  return ask(`/api/runs/${encodeURIComponent(id)}`, {
    method: "PATCH",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(changes),
  });
}
