export type LogFields = Readonly<Record<string, unknown>>;

/** Where log lines go. A message is one sentence; what varies goes into `fields`. */
export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

export const silentLogger: Logger = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};

/** What a log line needs to know of an error, its causes included. */
export function errorFields(thrown: unknown): LogFields {
  if (!(thrown instanceof Error)) return { error: String(thrown) };
  const { code, context } = thrown as { code?: string; context?: LogFields };
  return {
    error: thrown.message,
    ...(code === undefined ? {} : { code }),
    ...(context === undefined ? {} : context),
    ...(thrown.cause === undefined ? {} : { cause: errorFields(thrown.cause).error }),
    stack: thrown.stack,
  };
}
