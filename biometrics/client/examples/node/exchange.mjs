// A client of the exchange for Node: public gRPC packages and the contract, no more.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import protobuf from "protobufjs";

const FILES = ["match", "enrolment", "agreement", "space"];
const DEADLINE_MS = 10_000;
// Part of the contract: a call that the exchange could not take is sent again as it is,
// under the same request id. The bulk stream is not: it is resumed by its caller.
const RETRIES = "biometrics/v1/service_config.json";

// The details of an error: https://google.aip.dev/193
const { root: details } = protobuf.parse(`
  syntax = "proto3";
  package google.rpc;
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message Any { string type_url = 1; bytes value = 2; }
  message ErrorInfo { string reason = 1; string domain = 2; }
  message RetryInfo { Delay retry_delay = 1; }
  message Delay { int64 seconds = 1; int32 nanos = 2; }
  message BadRequest { repeated Violation field_violations = 1; }
  message Violation { string field = 1; string description = 2; string reason = 3; }
`, { keepCase: true });

/** What the exchange refused: `reason` is for programs, `message` for people. */
export class ExchangeError extends Error {
  constructor(error) {
    super(error.details);
    this.code = grpc.status[error.code];
    this.reason = this.code;
    this.faults = [];
    for (const data of error.metadata?.get("grpc-status-details-bin") ?? []) {
      for (const { type_url: url, value } of decode("Status", data).details) {
        this.#add(url.slice(url.lastIndexOf(".") + 1), value);
      }
    }
  }

  #add(kind, value) {
    if (kind === "ErrorInfo") {
      this.reason = decode(kind, value).reason;
    } else if (kind === "RetryInfo") {
      const { seconds, nanos } = decode(kind, value).retry_delay;
      this.retryAfter = Number(seconds) + nanos / 1e9;
    } else if (kind === "BadRequest") {
      this.faults = decode(kind, value).field_violations;
    }
  }
}

function decode(kind, value) {
  const type = details.lookupType(`google.rpc.${kind}`);
  return type.toObject(type.decode(value), { defaults: true, longs: Number });
}

/** One system of a member, as its profile says: `XAA-client.toml` and what is beside. */
export class Exchange {
  #services = {};

  constructor(profilePath, protoFolder) {
    const profile = readProfile(profilePath);
    const beside = (name) => readFileSync(resolve(dirname(profilePath), name));
    const credentials = grpc.credentials.createSsl(
      beside(profile.authority),
      beside(profile.key),
      beside(profile.certificate),
    );
    const retries = readFileSync(resolve(protoFolder, RETRIES), "utf-8");
    const options = { "grpc.service_config": retries };
    if (profile.server_name) {
      options["grpc.ssl_target_name_override"] = profile.server_name;
    }
    const loaded = loadSync(
      FILES.map((name) => `biometrics/v1/${name}.proto`),
      { includeDirs: [protoFolder], keepCase: true, enums: String, defaults: true },
    );
    const { v1 } = grpc.loadPackageDefinition(loaded).biometrics;
    for (const name of ["Match", "Enrolment", "Agreement", "Space"]) {
      const service = new v1[`${name}Service`](profile.target, credentials, options);
      this.#services[name] = service;
    }
  }

  /** Search for one person; `probe` is from `template`. */
  match(probe, { purpose, holders = [], requestId = randomUUID() }) {
    return this.call("Match", "Match", {
      request_id: requestId,
      purpose,
      probe: { templates: [probe] },
      holders,
    });
  }

  /** Search for several persons; one result a probe, in their order. */
  matchMany(probes, { purpose, holders = [], requestId = randomUUID() }) {
    return this.call("Match", "BatchMatch", {
      request_id: requestId,
      purpose,
      probes: probes.map((probe) => ({ templates: [probe] })),
      holders,
    });
  }

  /** Enrol one record; it is durable and searchable when this resolves. */
  enrol(reference, templates, { requestId = randomUUID(), ...more } = {}) {
    const record = { reference, templates, ...more };
    return this.call("Enrolment", "Enrol", { request_id: requestId, record });
  }

  /** Call any method of the contract; rejects with an `ExchangeError`. */
  call(service, method, request, deadlineMs = DEADLINE_MS) {
    return new Promise((done, failed) => {
      const deadline = Date.now() + deadlineMs;
      this.#services[service][method](request, { deadline }, (error, response) =>
        error ? failed(new ExchangeError(error)) : done(response),
      );
    });
  }

  close() {
    Object.values(this.#services).forEach((service) => service.close());
  }
}

/** A template of the contract from an extractor's numbers. */
export function template(space, position, numbers) {
  const data = Buffer.alloc(4 * numbers.length);
  numbers.forEach((number, at) => data.writeFloatLE(number, 4 * at));
  return { space, position, data_type: "DATA_TYPE_FLOAT32", data };
}

// A profile is flat TOML: one `key = value` a line, and nothing else is needed here.
function readProfile(path) {
  const lines = readFileSync(path, "utf-8").split("\n");
  const pairs = lines.map((line) => line.match(/^(\w+)\s*=\s*"([^"]*)"/));
  return Object.fromEntries(pairs.filter(Boolean).map(([, key, value]) => [key, value]));
}
