// Verifies the checkpoint on the page: its signature, and that the log has only grown
// since this browser saw it last. What it saw, it keeps in localStorage.
//
// Sources: C2SP, "signed-note", "tlog-checkpoint" and "tlog-tiles"; RFC 6962, section
// 2.1, for hashes; RFC 9162, section 2.1.4.2, for how consistency is verified. As in
// `biometrics/audit/{checkpoint,tree,tiles}.py`.

const MEMORY = "biometrics-log";
const ED25519 = 1;
const HASH_BYTES = 32;
const TILE_BITS = 8;
const TILE_WIDTH = 256;
// What a restore adds to the name of a log; the older ones added a number alone.
const RESTORED = /^\.[0-9]{1,9}(-[0-9a-f]{16})?$/;

// What was checked and does not hold; anything else that is thrown was not checked.
export class Broken extends Error {}

// -- bytes --------------------------------------------------------------------

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function hexOf(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
}

function node(left, right) {
  return sha256(Uint8Array.of(1), left, right);
}

// -- signed notes and checkpoints ---------------------------------------------

// Returns name, key id (hexadecimal) and public key of a verifier key.
export async function readKey(text) {
  const [name, id, encoded, ...rest] = text.trim().split("+");
  // Base64 may have a `+` itself.
  const key = bytesOf([encoded, ...rest].join("+"));
  const digest = await sha256(new TextEncoder().encode(`${name}\n`), key);
  if (key[0] !== ED25519 || key.length !== 1 + HASH_BYTES || hexOf(digest.slice(0, 4)) !== id) {
    throw new Broken("the exchange's key is none of Ed25519, or is not whole");
  }
  return { name, id, key: key.slice(1) };
}

// Returns origin, size and root of a checkpoint that the key has signed.
export async function readCheckpoint(note, key) {
  const end = note.indexOf("\n\n");
  const text = note.slice(0, end + 1);
  const [origin, size, root, nothing] = text.split("\n");
  if (end < 0 || nothing !== "" || !/^(0|[1-9][0-9]{0,15})$/.test(size)) {
    throw new Broken("it is no checkpoint");
  }
  const life = origin.startsWith(key.name) ? origin.slice(key.name.length) : null;
  const is_of = life === "" || (life !== null && RESTORED.test(life));
  if (!is_of) {
    throw new Broken(`it is of the log ${origin}, which is not one of ${key.name}`);
  }
  const public_key = await crypto.subtle.importKey("raw", key.key, { name: "Ed25519" }, false, ["verify"]);
  for (const line of note.slice(end + 2).split("\n")) {
    const found = /^— (\S+) (\S+)$/.exec(line);
    if (!found || found[1] !== key.name) {
      continue;
    }
    const signature = bytesOf(found[2]);
    if (hexOf(signature.slice(0, 4)) !== key.id) {
      continue;
    }
    const signed = new TextEncoder().encode(text);
    if (await crypto.subtle.verify({ name: "Ed25519" }, public_key, signature.slice(4), signed)) {
      return { origin, size: Number(size), root: bytesOf(root) };
    }
  }
  throw new Broken(`it is not signed by ${key.name}: it is of another log, or forged`);
}

// -- the tree -----------------------------------------------------------------

// Sizes may be beyond 32 bits, in which JavaScript's own shifts end.
function below(size) {
  let most = 1;
  while (2 * most < size) {
    most *= 2;
  }
  return most;
}

// Returns the complete subtrees of a tree, as [first leaf, leaves], from left to right.
export function spans(size, first = 0) {
  const found = [];
  while (size > 0) {
    const most = below(size + 1);
    found.push([first, most]);
    first += most;
    size -= most;
  }
  return found;
}

// Returns of which leaves a consistency proof has the roots, in its order.
export function consistency(before, size) {
  const found = [];
  let first = 0;
  let end = size;
  let is_whole = true;
  while (before !== end) {
    const middle = first + below(end - first);
    if (before <= middle) {
      found.push(spans(end - middle, middle));
      end = middle;
    } else {
      found.push(spans(middle - first, first));
      first = middle;
      is_whole = false;
    }
  }
  if (!is_whole) {
    found.push(spans(end - first, first));
  }
  return found.reverse();
}

async function above(hashes) {
  let found = hashes[hashes.length - 1];
  for (const left of hashes.slice(0, -1).reverse()) {
    found = await node(left, found);
  }
  return found;
}

// Refuses two trees of which the second is not the first with more leaves.
export async function checkConsistency(before, after, proof) {
  if (before.size > after.size) {
    throw new Broken(`the log has ${after.size} leaves, and had ${before.size}: some were taken away`);
  }
  if (before.size === after.size || before.size === 0) {
    const is_same = before.size === 0 || hexOf(before.root) === hexOf(after.root);
    if (proof.length || !is_same) {
      throw new Broken("the log has as many leaves as before, and they are others");
    }
    return;
  }
  // A smaller tree that is complete stands in the larger one as it is.
  const is_complete = spans(before.size).length === 1;
  const hashes = is_complete ? [before.root, ...proof] : [...proof];
  let at = before.size - 1;
  let last = after.size - 1;
  while (at % 2 === 1) {
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  let old = hashes[0];
  let now = hashes[0];
  for (const each of hashes.slice(1)) {
    if (last === 0) {
      throw new Broken("the proof that the log has only grown is too long");
    }
    if (at % 2 === 1 || at === last) {
      old = await node(each, old);
      now = await node(each, now);
      while (at % 2 === 0 && at !== 0) {
        at = Math.floor(at / 2);
        last = Math.floor(last / 2);
      }
    } else {
      now = await node(now, each);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  if (!hashes.length || last !== 0 || hexOf(old) !== hexOf(before.root) || hexOf(now) !== hexOf(after.root)) {
    throw new Broken("what this browser saw before is not in the log any more, as it was");
  }
}

// -- tiles --------------------------------------------------------------------

export function tilePath(level, number, width) {
  const groups = [String(number % 1000).padStart(3, "0")];
  for (let rest = Math.floor(number / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, "0")}`);
  }
  return `/log/tile/${level}/${groups.join("/")}${width === TILE_WIDTH ? "" : `.p/${width}`}`;
}

// Returns the root of a complete subtree, out of one tile.
async function spanHash([first, leaves], size, tile) {
  let level = 0;
  let below_level = 1;
  while (leaves >= below_level * TILE_WIDTH) {
    level += 1;
    below_level *= 2 ** TILE_BITS;
  }
  const at = Math.floor(first / below_level);
  const number = Math.floor(at / TILE_WIDTH);
  const offset = at % TILE_WIDTH;
  const width = Math.min(TILE_WIDTH, Math.floor(size / below_level) - number * TILE_WIDTH);
  let hashes = (await tile(level, number, width)).slice(offset, offset + leaves / below_level);
  while (hashes.length > 1) {
    const next = [];
    for (let i = 0; i < hashes.length; i += 2) {
      next.push(await node(hashes[i], hashes[i + 1]));
    }
    hashes = next;
  }
  return hashes[0];
}

// Returns the proof that a tree is another with more leaves, out of its tiles.
export async function prove(before, size, tile) {
  if (before === 0 || before === size) {
    return [];
  }
  const proof = [];
  for (const each of consistency(before, size)) {
    proof.push(await above(await Promise.all(each.map((span) => spanHash(span, size, tile)))));
  }
  return proof;
}

async function fetchTile(level, number, width) {
  const response = await fetch(tilePath(level, number, width));
  if (!response.ok) {
    throw new Error(`the console answers ${response.status} where a tile of the log should be`);
  }
  const data = new Uint8Array(await response.arrayBuffer());
  if (data.length !== width * HASH_BYTES) {
    throw new Broken("a tile of the log is not whole");
  }
  return Array.from({ length: width }, (_, i) => data.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES));
}

// -- the page -----------------------------------------------------------------

async function knowsEd25519() {
  try {
    await crypto.subtle.importKey("raw", new Uint8Array(HASH_BYTES), { name: "Ed25519" }, false, ["verify"]);
    return true;
  } catch {
    return false;
  }
}

function recall() {
  const kept = localStorage.getItem(MEMORY);
  return kept === null ? { key: null, logs: {} } : JSON.parse(kept);
}

function show(kind, title, text) {
  document.getElementById("verdict").dataset.kind = kind;
  document.getElementById("verdict-title").textContent = title;
  document.getElementById("verdict-text").textContent = text;
}

async function verify() {
  const key_text = document.getElementById("log-key").textContent.trim();
  const memory = recall();
  const names = Object.keys(memory.logs);
  if (names.length) {
    document.getElementById("before").textContent = names
      .map((name) => `${name}, ${memory.logs[name].size} leaves, on ${memory.logs[name].seen}`)
      .join("; ");
  }
  if (memory.key !== null && memory.key !== key_text) {
    throw new Broken(`the log was signed by ${memory.key} when this browser first saw it, and now the exchange names another key; ask its operator, by another way than this`);
  }
  const key = await readKey(key_text);
  const now = await readCheckpoint(document.getElementById("checkpoint").textContent, key);
  const before = memory.logs[now.origin];
  if (before) {
    const seen = { size: before.size, root: bytesOf(before.root) };
    const proof = seen.size > now.size ? [] : await prove(seen.size, now.size, fetchTile);
    await checkConsistency(seen, now, proof);
  }
  const is_another = !before && names.length > 0;
  memory.key = key_text;
  memory.logs[now.origin] = {
    size: now.size,
    root: btoa(String.fromCharCode(...now.root)),
    seen: new Date().toISOString().slice(0, 16).replace("T", " ") + " UTC",
  };
  localStorage.setItem(MEMORY, JSON.stringify(memory));
  if (is_another) {
    show("wait", "Signed, and of another log.", `The exchange was restored from a backup: ${now.origin} goes on from what was left. What this browser saw of ${names.join(", ")} and is not in it was lost; ask the exchange's operator what.`);
  } else if (before) {
    show("good", "Verified.", `The signature is by the key below, as before, and all ${before.size} leaves that this browser had seen are among the ${now.size} now.`);
  } else {
    show("good", "Signature verified.", `This browser sees the log for the first time, with ${now.size} leaves, and keeps it in mind; from now on it checks that the log only grows. Compare the key with your own copy.`);
  }
}

async function main() {
  show("none", "Verifying…", "");
  if (!(await knowsEd25519())) {
    show("wait", "Nothing is verified.", "This browser knows no Ed25519 signatures; take a newer one (Chromium 137, Firefox 129, Safari 17 or later), or `biometrics audit verify`.");
    return;
  }
  try {
    await verify();
  } catch (error) {
    if (error instanceof Broken) {
      show("bad", "DOES NOT VERIFY.", `${error.message}. Keep this page, and what this browser has in mind, as evidence.`);
    } else {
      show("wait", "Nothing is verified.", `It could not be done: ${error.message}.`);
    }
  }
}

if (document.getElementById("verdict")) {
  await main();
}
