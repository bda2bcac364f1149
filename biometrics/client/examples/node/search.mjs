// node search.mjs CLIENTS PROTO: enrol a person, find them, and be refused.
//
// CLIENTS is the folder of profiles that `biometrics init` makes, PROTO the contract's.

import { join } from "node:path";
import { Exchange, ExchangeError, template } from "./exchange.mjs";

const [clients, proto] = process.argv.slice(2);
const profile = (name) => join(clients, `${name}.toml`);
const SPACE = "face-synthetic-512";

// An extractor would give these; here they are drawn.
const person = () => Array.from({ length: 512 }, () => Math.random() - 0.5);
const face = (numbers) => template(SPACE, "POSITION_FACE", numbers);
const [registered, stranger] = [person(), person()];

const enroller = new Exchange(profile("XRA-enroller"), proto);
const { outcome } = await enroller.enrol(`node-${Date.now()}`, [face(registered)]);
console.log("enrolled:", outcome);

const border = new Exchange(profile("XAA-client"), proto);
const asked = { purpose: "PURPOSE_ASYLUM_AND_PROTECTION" };
const found = await border.match(face(registered), asked);
console.log("one:", found.regional_outcome);
for (const { holder, outcome, reference } of found.answers) {
  console.log(`  ${holder}: ${outcome}, reference of ${reference.length} bytes`);
}

const many = await border.matchMany([face(registered), face(stranger)], asked);
console.log("many:", many.results.map((each) => each.answer.regional_outcome).join(", "));

// Everything wrong with a request comes back at once, in words and by field.
for (const [probe, purpose] of [
  [face(registered.slice(1)), asked.purpose],
  [face(registered), "PURPOSE_SMUGGLING_INVESTIGATION"],
]) {
  try {
    await border.match(probe, { purpose });
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error;
    console.log(`${error.code} ${error.reason}: ${error.message}`);
    for (const fault of error.faults) console.log(`  ${fault.field}: ${fault.reason}`);
  }
}
enroller.close();
border.close();
