import { GfsError } from '../core/index.js';

const KEY = /^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$/;

/**
 * Keys are relative paths; a segment never begins with a dot, so that none of them is `.` or `..`.
 * @throws GfsError EINVAL
 */
export function checkObjectKey(key: string): void {
  if (!KEY.test(key)) throw new GfsError('EINVAL', `not an object key: ${JSON.stringify(key)}`);
}

export function missingObject(key: string, cause?: unknown): GfsError {
  return new GfsError('ENOENT', 'there is no such object', {
    context: { key },
    ...(cause === undefined ? {} : { cause }),
  });
}
