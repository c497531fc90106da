export const SERVICE_FLAGS: string[];
export function serviceEnvironment(environment?: NodeJS.ProcessEnv): Record<string, string>;
