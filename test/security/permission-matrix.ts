/**
 * Who may say and hear what: every line of `nats.conf`, what it lets through, and its neighbours, which it must not. A test holds the
 * keys against the file, so that no line is added without its rows here.
 */

export interface Rows {
  readonly may: readonly string[];
  readonly mayNot: readonly string[];
}

export interface Role {
  readonly user: string;
  /** By allowed pattern. */
  readonly publish: Readonly<Record<string, Rows>>;
  readonly subscribe: Readonly<Record<string, Rows>>;
}

const streams = [
  "TOCSIN_CATALOGUE",
  "TOCSIN_HEALTH",
  "TOCSIN_REVOCATIONS",
  "TOCSIN_INVALIDATIONS",
  "TOCSIN_AUDIT",
];

const controlPlane: Role = {
  user: "control-plane",
  publish: {
    "$JS.API.STREAM.INFO.*": {
      may: streams.map((stream) => `$JS.API.STREAM.INFO.${stream}`),
      mayNot: [
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.LIST",
        "$JS.API.STREAM.INFO.a.b",
      ],
    },
    "$JS.API.STREAM.CREATE.*": {
      may: ["$JS.API.STREAM.CREATE.TOCSIN_REVOCATIONS"],
      mayNot: [
        ...streams.flatMap((stream) => [
          `$JS.API.STREAM.DELETE.${stream}`,
          `$JS.API.STREAM.PURGE.${stream}`,
          `$JS.API.STREAM.UPDATE.${stream}`,
          `$JS.API.STREAM.MSG.DELETE.${stream}`,
        ]),
        "$JS.API.STREAM.RESTORE.TOCSIN_REVOCATIONS",
        "$JS.API.STREAM.SNAPSHOT.TOCSIN_REVOCATIONS",
        "$JS.API.STREAM.LEADER.STEPDOWN.TOCSIN_REVOCATIONS",
        "$JS.API.STREAM.PEER.REMOVE.TOCSIN_REVOCATIONS",
        "$JS.API.STREAM.CREATE.a.b",
        "$JS.API.STREAM.TEMPLATE.CREATE.a",
        "$JS.API.ACCOUNT.PURGE.TOCSIN",
        "$JS.API.SERVER.REMOVE",
        "$JS.API.META.LEADER.STEPDOWN",
      ],
    },
    "$JS.API.STREAM.MSG.GET.*": {
      may: ["$JS.API.STREAM.MSG.GET.TOCSIN_REVOCATIONS"],
      mayNot: ["$JS.API.STREAM.MSG.GET.a.b", "$JS.API.DIRECT.GET.TOCSIN_REVOCATIONS"],
    },
    "$JS.API.CONSUMER.CREATE.*": {
      may: ["$JS.API.CONSUMER.CREATE.TOCSIN_REVOCATIONS"],
      mayNot: [
        "$JS.API.CONSUMER.CREATE.TOCSIN_REVOCATIONS.durable",
        "$JS.API.CONSUMER.CREATE.TOCSIN_REVOCATIONS.durable.tocsin.v1.log.>",
        "$JS.API.CONSUMER.DURABLE.CREATE.TOCSIN_REVOCATIONS.durable",
        "$JS.API.CONSUMER.NAMES.TOCSIN_REVOCATIONS",
        "$JS.API.CONSUMER.LIST.TOCSIN_REVOCATIONS",
        "$JS.API.CONSUMER.INFO.TOCSIN_REVOCATIONS.one",
      ],
    },
    "$JS.API.CONSUMER.MSG.NEXT.*.*": {
      may: ["$JS.API.CONSUMER.MSG.NEXT.TOCSIN_REVOCATIONS.one"],
      mayNot: ["$JS.API.CONSUMER.MSG.NEXT.TOCSIN_REVOCATIONS", "$JS.ACK.TOCSIN_REVOCATIONS.one.1"],
    },
    "$JS.API.CONSUMER.DELETE.*.*": {
      may: ["$JS.API.CONSUMER.DELETE.TOCSIN_REVOCATIONS.one"],
      mayNot: [
        "$JS.API.CONSUMER.DELETE.TOCSIN_REVOCATIONS",
        "$JS.API.CONSUMER.PAUSE.TOCSIN_REVOCATIONS.one",
      ],
    },
    "tocsin.v1.log.>": {
      may: [
        "tocsin.v1.log.revocations.token",
        "tocsin.v1.log.catalogue.instance.users.users-1",
        "tocsin.v1.log.audit.record",
      ],
      mayNot: [
        "tocsin.v1.log",
        "tocsin.v2.log.revocations.token",
        ...["catalogue", "health", "revocations", "invalidations"].map(
          (journal) => `tocsin.v1.feed.${journal}.token`,
        ),
      ],
    },
    "tocsin.v1.beacon": {
      may: ["tocsin.v1.beacon"],
      mayNot: [
        "tocsin.v1.beacon.x",
        "tocsin.v1",
        "tocsin.v1.sync.revocations",
        "tocsin.v1.operate.revoke",
      ],
    },
    "tocsin.v1.heartbeat.control-plane.*": {
      may: ["tocsin.v1.heartbeat.control-plane.control-plane-1"],
      mayNot: [
        "tocsin.v1.heartbeat.proxy.proxy-1",
        "tocsin.v1.heartbeat.control-plane",
        "tocsin.v1.heartbeat.control-plane.a.b",
        "tocsin.v1.ack.operation.proxy-1",
        "tocsin.v1.report.proxy-1",
        "tocsin.v1.held.proxy-1",
        "tocsin.v1.register.users.one",
      ],
    },
    "tocsin.v1.proxy.*": {
      may: ["tocsin.v1.proxy.collect"],
      mayNot: ["tocsin.v1.proxy", "tocsin.v1.proxy.collect.proxy-1"],
    },
    "_INBOX_px.>": {
      may: ["_INBOX_px.proxy-1.x", "_INBOX_px.x"],
      mayNot: ["_INBOX.x", "_INBOX_px", "anything"],
    },
    "_INBOX_op.>": { may: ["_INBOX_op.alice.x"], mayNot: ["_INBOX_op"] },
    "_INBOX_svc.>": {
      may: ["_INBOX_svc.users.x"],
      mayNot: ["_INBOX_svc", "_INBOX_cp.control-plane-2.x"],
    },
  },
  subscribe: {
    "tocsin.v1.>": {
      may: ["tocsin.v1.>"],
      mayNot: ["tocsin.>", "tocsin.v2.>", "$JS.EVENT.>", "$SYS.>", "$JS.API.>"],
    },
    "_INBOX_cp.>": {
      may: ["_INBOX_cp.control-plane-1.>"],
      mayNot: ["_INBOX.>", "_INBOX_px.>", "_INBOX_op.>", "_INBOX_svc.>", "*.>", ">"],
    },
  },
};

const proxy: Role = {
  user: "proxy",
  publish: {
    "tocsin.v1.sync.*": {
      may: ["tocsin.v1.sync.revocations"],
      mayNot: [
        "tocsin.v1.sync",
        "tocsin.v1.sync.a.b",
        "tocsin.v1.log.revocations.token",
        "tocsin.v1.log.catalogue.config",
        "tocsin.v1.log.audit.record",
      ],
    },
    "tocsin.v1.heartbeat.proxy.*": {
      may: ["tocsin.v1.heartbeat.proxy.proxy-1"],
      mayNot: [
        "tocsin.v1.heartbeat.control-plane.one",
        "tocsin.v1.heartbeat.proxy",
        "tocsin.v1.heartbeat.proxy.a.b",
        "tocsin.v1.beacon",
        "tocsin.v1.proxy.collect",
      ],
    },
    "tocsin.v1.ack.*.*": {
      may: ["tocsin.v1.ack.operation.proxy-1"],
      mayNot: [
        "tocsin.v1.ack.operation",
        "tocsin.v1.ack.a.b.c",
        "tocsin.v1.feed.revocations.token",
      ],
    },
    "tocsin.v1.report.*": {
      may: ["tocsin.v1.report.proxy-1"],
      mayNot: [
        "tocsin.v1.report",
        "tocsin.v1.report.a.b",
        "tocsin.v1.register.users.one",
        "tocsin.v1.renew.users.one",
      ],
    },
    "tocsin.v1.held.*": {
      may: ["tocsin.v1.held.proxy-1"],
      mayNot: [
        "tocsin.v1.held",
        "tocsin.v1.held.a.b",
        "tocsin.v1.operate.revoke",
        "_INBOX_px.proxy-2.x",
        "_INBOX_cp.control-plane-1.x",
        "_INBOX_svc.users.x",
        "$JS.API.INFO",
        "$JS.API.STREAM.CREATE.EVIL",
        "$JS.API.STREAM.INFO.TOCSIN_REVOCATIONS",
        "$JS.API.STREAM.MSG.GET.TOCSIN_REVOCATIONS",
        "$JS.API.STREAM.MSG.GET.TOCSIN_AUDIT",
        "$JS.API.STREAM.DELETE.TOCSIN_REVOCATIONS",
        "$JS.API.STREAM.PURGE.TOCSIN_REVOCATIONS",
        "$JS.API.CONSUMER.CREATE.TOCSIN_REVOCATIONS",
        "$JS.API.CONSUMER.CREATE.TOCSIN_REVOCATIONS.evil",
        "$JS.API.CONSUMER.DURABLE.CREATE.TOCSIN_REVOCATIONS.evil",
        "$JS.API.CONSUMER.MSG.NEXT.TOCSIN_REVOCATIONS.one",
        "$JS.API.DIRECT.GET.TOCSIN_REVOCATIONS",
        "$SYS.REQ.SERVER.PING",
      ],
    },
  },
  subscribe: {
    "tocsin.v1.feed.>": {
      may: ["tocsin.v1.feed.>", "tocsin.v1.feed.revocations.>"],
      mayNot: ["tocsin.v1.>", "tocsin.v1.log.>", "tocsin.v1.*", "tocsin.v1.*.>", "$JS.API.>"],
    },
    "tocsin.v1.beacon": {
      may: ["tocsin.v1.beacon"],
      mayNot: ["tocsin.v1.sync.*", "tocsin.v1.sync.revocations", "tocsin.v1.operate.*"],
    },
    // Whoever is allowed `a.*` is given `a.>` too by nats-server 2.9.10, so nothing may ever be said below `tocsin.v1.proxy.<verb>`:
    // the control plane's own rows refuse `tocsin.v1.proxy.collect.proxy-1`.
    "tocsin.v1.proxy.*": {
      may: ["tocsin.v1.proxy.*", "tocsin.v1.proxy.collect"],
      mayNot: [
        "tocsin.v1.held.*",
        "tocsin.v1.report.*",
        "tocsin.v1.ack.*.*",
        "tocsin.v1.heartbeat.>",
        "tocsin.v1.register.*.*",
      ],
    },
    "_INBOX_px.>": {
      may: ["_INBOX_px.proxy-1.>"],
      mayNot: ["_INBOX.>", "_INBOX_cp.>", "_INBOX_svc.users.>", "_INBOX_op.>", "*.>", ">"],
    },
  },
};

const operator: Role = {
  user: "operator",
  publish: {
    "tocsin.v1.operate.>": {
      may: ["tocsin.v1.operate.revoke"],
      mayNot: [
        "tocsin.v1.operate",
        "tocsin.v1.log.audit.record",
        "tocsin.v1.log.revocations.token",
        "tocsin.v1.feed.revocations.token",
        "tocsin.v1.beacon",
        "tocsin.v1.proxy.collect",
        "tocsin.v1.ack.operation.proxy-1",
        "tocsin.v1.held.proxy-1",
        "tocsin.v1.sync.revocations",
        "tocsin.v1.register.users.one",
        "_INBOX_px.proxy-1.x",
        "$JS.API.STREAM.INFO.TOCSIN_REVOCATIONS",
        "$JS.API.STREAM.DELETE.TOCSIN_REVOCATIONS",
      ],
    },
  },
  subscribe: {
    "_INBOX_op.>": {
      may: ["_INBOX_op.alice.>"],
      mayNot: [
        "tocsin.v1.>",
        "tocsin.v1.feed.>",
        "tocsin.v1.operate.>",
        "_INBOX_cp.>",
        "_INBOX_px.>",
        "_INBOX_svc.>",
        "_INBOX.>",
        ">",
      ],
    },
  },
};

function service(name: string, other: string): Role {
  const publish = Object.fromEntries(
    ["register", "renew", "deregister"].map((verb) => [
      `tocsin.v1.${verb}.${name}.*`,
      {
        may: [`tocsin.v1.${verb}.${name}.${name}-1`],
        mayNot: [
          `tocsin.v1.${verb}.${other}.${other}-1`,
          `tocsin.v1.${verb}.${name}`,
          `tocsin.v1.${verb}.${name}.a.b`,
        ],
      },
    ]),
  );
  publish[`tocsin.v1.register.${name}.*`]!.mayNot.push(
    `tocsin.v1.log.catalogue.instance.${name}.${name}-1`,
    `tocsin.v1.feed.health.instance.${name}.${name}-1`,
    "tocsin.v1.sync.catalogue",
    "tocsin.v1.log.audit.record",
    "tocsin.v1.beacon",
    "tocsin.v1.heartbeat.proxy.proxy-1",
    "tocsin.v1.ack.operation.proxy-1",
    "tocsin.v1.report.proxy-1",
    "tocsin.v1.held.proxy-1",
    "tocsin.v1.proxy.collect",
    "tocsin.v1.operate.revoke",
    `_INBOX_svc.${other}.x`,
    "_INBOX_px.proxy-1.x",
    "$JS.API.STREAM.INFO.TOCSIN_CATALOGUE",
  );
  return {
    user: name,
    publish,
    subscribe: {
      [`_INBOX_svc.${name}.>`]: {
        may: [`_INBOX_svc.${name}.>`],
        mayNot: [
          `_INBOX_svc.${other}.>`,
          "_INBOX_svc.*.>",
          "_INBOX_svc.>",
          "_INBOX_cp.>",
          "_INBOX_px.>",
          "tocsin.v1.feed.>",
          "tocsin.v1.beacon",
          "tocsin.v1.register.*.*",
          `tocsin.v1.register.${name}.*`,
          "tocsin.v1.proxy.*",
          ">",
        ],
      },
    },
  };
}

export const matrix: readonly Role[] = [
  controlPlane,
  proxy,
  operator,
  service("users", "payments"),
  service("content", "users"),
  service("payments", "content"),
];

/** The allowed patterns of a configuration, as `user publish pattern`, read from its text: comments off, variables followed. */
export function patternsOf(config: string): string[] {
  const text = config.replace(/(^|\s)#[^\n]*/g, "");
  const variables = new Map(
    [...text.matchAll(/\n(\w+): (\{[\s\S]*?\n\})/g)].map((match) => [match[1]!, match[2]!]),
  );
  const users = text.slice(text.indexOf("users: ["));
  return users
    .split(/\buser: /)
    .slice(1)
    .flatMap((block) => {
      const user = /^[\w-]+/.exec(block)![0];
      const named = /permissions: \$(\w+)/.exec(block)?.[1];
      const permissions = named === undefined ? block : variables.get(named)!;
      return (["publish", "subscribe"] as const).flatMap((verb) => {
        const list = new RegExp(String.raw`${verb}: \{\s*allow: \[([^\]]*)\]`).exec(
          permissions,
        )?.[1];
        return [...(list ?? "").matchAll(/"([^"]+)"/g)].map(
          (match) => `${user} ${verb} ${match[1]}`,
        );
      });
    });
}
