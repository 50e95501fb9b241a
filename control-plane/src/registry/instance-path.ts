import { Name } from "@tocsin/shared";
import { z } from "zod";

/** Which instance a request speaks of. */
export const InstancePath = z.strictObject({ service: Name, instance: Name });
