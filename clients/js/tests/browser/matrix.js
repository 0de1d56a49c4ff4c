/**
 * Runs every case in the browser and reports each to the server that the page came from. The server,
 * `tests/browser/` of the Rust library, counts them and asserts that all went well.
 */

import { cases } from './cases.js';

/** No case takes this long unless it hangs. */
const PATIENCE_MS = 20_000;

const config = await (await fetch('/config.json')).json();

/**
 * Has the server do something, and returns what it says.
 * @param {string} what
 */
async function order(what) {
  const answer = await fetch(`/do/${what}`, { method: 'POST' });
  if (!answer.ok) throw new Error(`the server cannot do ${what}: ${answer.status}`);
  return answer.text();
}

/**
 * @param {string} path
 * @param {object} report
 */
async function tell(path, report) {
  await fetch(path, { method: 'POST', body: JSON.stringify(report) });
}

for (const [name, run] of Object.entries(cases)) {
  const began = performance.now();
  let error = null;
  try {
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error('it hangs')), PATIENCE_MS));
    await Promise.race([run(config, order), late]);
  } catch (why) {
    error = why instanceof Error ? `${why}\n${why.stack}` : String(why);
  }
  const ms = Math.round(performance.now() - began);
  const line = `${error ? 'FAILED' : 'ok'} ${name} (${ms} ms)${error ? `: ${error}` : ''}\n`;
  document.querySelector('#report')?.append(line);
  await tell('/report', { name, ms, error });
}
await tell('/done', {});
