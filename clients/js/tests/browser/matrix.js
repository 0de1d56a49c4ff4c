/**
 * Runs every case and reports each to the server that the page came from, or, in Node, to the one in the
 * first argument. The server, `tests/browser/` of the Rust library, counts them and asserts that all went
 * well.
 */

import { cases, inBrowsersOnly } from './cases.js';

/** No case takes this long unless it hangs. */
const PATIENCE_MS = 20_000;

const isPage = typeof document !== 'undefined';
const site = isPage ? location.origin : /** @type {any} */ (globalThis).process.argv[2];
const config = await (await fetch(`${site}/config.json`)).json();

/**
 * Has the server do something, and returns what it says.
 * @param {string} what
 */
async function order(what) {
  const answer = await fetch(`${site}/do/${what}`, { method: 'POST' });
  if (!answer.ok) throw new Error(`the server cannot do ${what}: ${answer.status}`);
  return answer.text();
}

/**
 * @param {string} path
 * @param {object} report
 */
async function tell(path, report) {
  await fetch(`${site}${path}`, { method: 'POST', body: JSON.stringify(report) });
}

for (const [name, run] of Object.entries({ ...cases, ...(isPage ? inBrowsersOnly : {}) })) {
  const began = performance.now();
  let error = null;
  let late;
  try {
    const hangs = new Promise((_, reject) => {
      late = setTimeout(() => reject(new Error('it hangs')), PATIENCE_MS);
    });
    await Promise.race([run(config, order), hangs]);
  } catch (why) {
    error = why instanceof Error ? `${why}\n${why.stack}` : String(why);
  }
  clearTimeout(late);
  const ms = Math.round(performance.now() - began);
  if (isPage) document.querySelector('#report')?.append(`${error ? 'FAILED' : 'ok'} ${name} (${ms} ms) ${error ?? ''}\n`);
  await tell('/report', { name, ms, error });
}
await tell('/done', {});
