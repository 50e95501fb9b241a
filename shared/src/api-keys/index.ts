export { apiKeyIdOf, apiKeyIdPattern } from "./id.ts";
export type { ApiKeyId } from "./id.ts";
export { digestOfKey, faultInKey, freshApiKeyId, freshKey, keyLength } from "./key-text.ts";
