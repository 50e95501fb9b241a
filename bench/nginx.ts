/** nginx twice: as the upstream of everybody, and as a peer. One worker each. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { body } from "./body.ts";
import { freePort, launch, type Running } from "./processes.ts";

export interface Nginx extends Running {
  readonly url: string;
}

interface NginxOptions {
  /** Where its config, its log and its temporary files are. */
  readonly directory: string;
  readonly core: number | undefined;
}

/** Answers everything with {@link body}, from its config. */
export function startUpstream(options: NginxOptions): Promise<Nginx> {
  return start(options, (port) => [
    "access_log off;",
    "server {",
    `  listen 127.0.0.1:${port} backlog=1024;`,
    "  default_type application/json;",
    `  location / { return 200 '${body}'; }`,
    "}",
  ]);
}

/** A reverse proxy as its manual recommends: kept-alive connections on both sides, buffered access log on the terms of ours. */
export function startNginxProxy(
  options: NginxOptions & { readonly upstream: string; readonly accessLog: string },
): Promise<Nginx> {
  return start(options, (port) => [
    // The same batches as the access log of the program that it is compared with.
    `access_log ${options.accessLog} combined buffer=64k flush=100ms;`,
    `upstream origin { server ${new URL(options.upstream).host}; keepalive 64; keepalive_requests 1000000000; keepalive_time 1d; }`,
    "server {",
    `  listen 127.0.0.1:${port} backlog=1024;`,
    "  location / {",
    "    proxy_pass http://origin;",
    "    proxy_http_version 1.1;",
    '    proxy_set_header Connection "";',
    "    proxy_set_header Host $host;",
    "    proxy_set_header X-Forwarded-For $remote_addr;",
    "    proxy_set_header X-Forwarded-Proto $scheme;",
    "    proxy_set_header X-Request-ID $request_id;",
    "  }",
    "}",
  ]);
}

async function start(
  options: NginxOptions,
  http: (port: number) => readonly string[],
): Promise<Nginx> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  mkdirSync(options.directory, { recursive: true });
  const config = join(options.directory, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${join(options.directory, name)};`,
  );
  writeFileSync(
    config,
    [
      // Started by root, the worker would be somebody who may not write the log.
      ...(process.getuid?.() === 0 ? ["user root;"] : []),
      "daemon off;",
      "worker_processes 1;",
      `pid ${join(options.directory, "nginx.pid")};`,
      "error_log stderr warn;",
      "events { worker_connections 1024; }",
      "http {",
      ...temporary,
      "keepalive_timeout 1h;",
      "keepalive_requests 1000000000;",
      "tcp_nodelay on;",
      ...http(port),
      "}",
      "",
    ].join("\n"),
  );
  const running = await launch({
    command: ["nginx", "-p", options.directory, "-c", config],
    core: options.core,
    ready: () =>
      fetch(url).then(
        async (answer) => (await answer.text()) !== "",
        () => false,
      ),
  });
  return { ...running, url };
}
