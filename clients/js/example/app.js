/** The example's page. `examples/browser/` of the Rust library is its server. */

import { Pair1Socket, ReqSocket, SubSocket } from '../src/index.js';

/** SP is on another port than the page; the server says on which. */
const base = (await (await fetch('/sp')).text()).trim();

const text = (/** @type {Uint8Array} */ bytes) => new TextDecoder().decode(bytes);

feed();
ask();
chat();

async function feed() {
  const card = cardOf('feed');
  const sub = new SubSocket();
  watch(sub, card);

  // Everything arrives, and the socket keeps what starts with a topic that is subscribed.
  for (const box of card.querySelectorAll('input')) {
    if (box.checked) sub.subscribe(box.value);
    box.addEventListener('change', () => (box.checked ? sub.subscribe(box.value) : sub.unsubscribe(box.value)));
  }
  await sub.dial(`${base}/feed`, { background: true });

  /** @type {number[]} */
  const curve = [];
  for await (const message of sub) {
    const [city, degrees] = text(message).split(' ');
    write(card, `${city} ${degrees} °C`);
    if (city === 'oslo') {
      curve.push(Number(degrees));
      draw(card, curve.slice(-60));
    }
    const { receivedMessages, deliveredMessages, dropped } = sub.stats();
    const rest = dropped.NotSubscribed ?? 0;
    find(card, '.counters').textContent = `${receivedMessages} came, ${deliveredMessages} taken, ${rest} not subscribed`;
  }
}

async function ask() {
  const card = cardOf('ask');
  const req = new ReqSocket({ sendTimeoutMs: 60_000 });
  watch(req, card);
  find(card, 'form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const question = inputOf(card).value;
    const began = performance.now();
    try {
      const answer = text(await req.request(question));
      write(card, `${question} = ${answer}   (${(performance.now() - began).toFixed(1)} ms)`);
    } catch (error) {
      write(card, `${question}: ${error}`, 'trouble');
    }
  });
  await req.dial(`${base}/ask`, { background: true });
}

async function chat() {
  const card = cardOf('chat');
  const pair = new Pair1Socket();
  watch(pair, card);
  find(card, 'form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const input = inputOf(card);
    const words = input.value;
    input.value = '';
    try {
      await pair.send(words, { timeoutMs: 5_000 });
      write(card, words, 'mine');
    } catch (error) {
      write(card, `${words}: ${error}`, 'trouble');
    }
  });
  await pair.dial(`${base}/chat`, { background: true });
  for await (const message of pair) write(card, text(message));
}

/**
 * Shows whether a socket has its peer.
 * @param {import('../src/index.js').Socket} socket
 * @param {Element} card
 */
function watch(socket, card) {
  const show = (/** @type {string} */ words) => {
    const state = find(card, '.state');
    state.textContent = words;
    state.classList.toggle('attached', socket.peers.length > 0);
  };
  socket.addEventListener('attached', () => show('connected'));
  socket.addEventListener('detached', ({ reason }) => show(`lost: ${reason}`));
  socket.addEventListener('dialfailed', ({ waitMs }) => show(`nobody there, trying again in ${Math.ceil(waitMs)} ms`));
}

/**
 * @param {Element} card
 * @param {string} words
 * @param {string} [kind]
 */
function write(card, words, kind = '') {
  const log = find(card, '.log');
  const line = document.createElement('li');
  line.textContent = words;
  line.className = kind;
  log.append(line);
  while (log.childElementCount > 50) log.firstElementChild?.remove();
  log.scrollTop = log.scrollHeight;
}

/**
 * @param {Element} card
 * @param {number[]} values
 */
function draw(card, values) {
  const [low, high] = [Math.min(...values) - 1, Math.max(...values) + 1];
  const points = values.map((value, at) => {
    const x = (300 * at) / Math.max(1, values.length - 1);
    return `${x.toFixed(1)} ${(80 - (80 * (value - low)) / (high - low)).toFixed(1)}`;
  });
  find(card, '.line').setAttribute('d', `M${points.join('L')}`);
  find(card, '.area').setAttribute('d', `M0 80L${points.join('L')}L300 80Z`);
  find(card, 'output').textContent = `${values.at(-1)}`;
}

/** @param {string} id */
function cardOf(id) {
  return find(document, `#${id}`);
}

/** @param {Element} card */
function inputOf(card) {
  return /** @type {HTMLInputElement} */ (find(card, 'input[name]'));
}

/**
 * @param {ParentNode} where
 * @param {string} what
 */
function find(where, what) {
  const found = where.querySelector(what);
  if (!found) throw new Error(`the page has no ${what}`);
  return found;
}
