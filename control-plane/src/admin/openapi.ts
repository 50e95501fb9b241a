import { z } from "zod";
import { operations, type Operation } from "./operations.ts";

/** The OpenAPI 3.1 document, made from the table of operations and the schemas of the contract. */
export function openApi(version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of operations)
    (paths[operation.path] ??= {})[operation.method.toLowerCase()] = describe(operation);
  return {
    openapi: "3.1.0",
    info: {
      title: "Tocsin admin API",
      version,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
      schemas: {
        Problem: {
          type: "object",
          description: "RFC 9457",
          required: ["type", "title", "status", "code"],
          properties: {
            type: { type: "string" },
            title: { type: "string" },
            status: { type: "integer" },
            code: { type: "string" },
            detail: { type: "string" },
            instance: { type: "string" },
            errors: {
              type: "array",
              items: {
                type: "object",
                required: ["pointer", "message"],
                properties: {
                  pointer: { type: "string" },
                  message: { type: "string" },
                  line: { type: "integer" },
                  column: { type: "integer" },
                },
              },
            },
          },
        },
      },
    },
  };
}

function describe(operation: Operation): object {
  const {
    id,
    summary,
    path,
    takes,
    alsoTakes = {},
    gives,
    waits,
    tries,
    pages,
    asks = {},
    repeats,
  } = operation;
  const parameters: object[] = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  if (waits) {
    const description = "How long to wait for the proxies; 0 answers at once.";
    parameters.push({
      name: "wait",
      in: "query",
      description,
      schema: { type: "string", examples: ["2s", "0"] },
    });
  }
  if (tries) {
    const description = "Only says whether it would be carried out.";
    parameters.push({ name: "dryRun", in: "query", description, schema: { type: "boolean" } });
  }
  if (pages) {
    const schema = { type: "integer" };
    const limit = "How many, at least, where there are so many: 1 to 10,000. Default 1,000.";
    parameters.push({ name: "limit", in: "query", description: limit, schema });
    const after = "Go on behind this position: `next` of the page before.";
    parameters.push({ name: "after", in: "query", description: after, schema });
  }
  for (const [name, description] of Object.entries(asks))
    parameters.push({ name, in: "query", description, schema: { type: "string" } });
  if (repeats) {
    const description = "Names the operation: repeating it with the same key has one effect.";
    parameters.push({
      name: "Idempotency-Key",
      in: "header",
      description,
      schema: { type: "string" },
    });
  }
  const problem = {
    description: "Not carried out",
    content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
  };
  const answer = {
    description: "Carried out",
    content: { "application/json": { schema: schemaOf(gives, "output") } },
  };
  return {
    operationId: id,
    summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(takes === undefined
      ? {}
      : {
          requestBody: {
            content: {
              "application/json": { schema: schemaOf(takes, "input") },
              ...Object.fromEntries(
                Object.entries(alsoTakes).map(([type, description]) => [
                  type,
                  { schema: { type: "string", description } },
                ]),
              ),
            },
          },
        }),
    responses: {
      "200": answer,
      ...(waits
        ? { "202": { ...answer, description: "Durable, not in force everywhere in time" } }
        : {}),
      default: problem,
    },
  };
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}
