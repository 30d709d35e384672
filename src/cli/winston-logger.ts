import { createLogger, format, transports } from 'winston';
import { errorFields, type LogFields, type Logger } from '../core/logger.js';
import { LogFile } from './log-file.js';
import type { LogLevel } from './log-level.js';

export interface ProcessLogger extends Logger {
  /** Goes on in a new file, if it writes to one. */
  reopen(): void;
}

/** Fields may hold what JSON cannot: a bigint becomes its digits, an Error its message. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  return value instanceof Error ? errorFields(value).error : value;
}

/** One JSON object on a line: `{ time, level, message, ...fields }`. */
export function logLine(level: string, message: string, fields: LogFields, at: Date): string {
  return JSON.stringify({ time: at.toISOString(), level, message, ...omitReserved(fields) }, plain);
}

function omitReserved(fields: LogFields): LogFields {
  const { time, level, message, ...rest } = fields;
  if (time === undefined && level === undefined && message === undefined) return fields;
  return { ...rest, field_time: time, field_level: level, field_message: message };
}

/**
 * The Logger port on winston.
 * @param path the log file; absent: stderr
 */
export function createProcessLogger(level: LogLevel, path?: string): ProcessLogger {
  const file = path === undefined ? undefined : new LogFile(path);
  const winston = createLogger({
    level,
    format: format.printf((info) =>
      logLine(info.level, String(info.message), (info.fields ?? {}) as LogFields, new Date()),
    ),
    transports: [new transports.Stream({ stream: file ?? process.stderr })],
  });
  // Fields travel under one key: winston would join a field named `message` to the message.
  const log = (at: LogLevel, message: string, fields: LogFields = {}): void => {
    winston.log({ level: at, message, fields });
  };
  return {
    error: (message, fields) => log('error', message, fields),
    warn: (message, fields) => log('warn', message, fields),
    info: (message, fields) => log('info', message, fields),
    debug: (message, fields) => log('debug', message, fields),
    reopen: () => file?.reopen(),
  };
}
