import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { posix } from 'node:path';

/** A text's UTF-8 bytes, one per character. */
export function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** The text that the bytes are in UTF-8; where they are none, each byte above ASCII as `\\xNN`. */
export function textOf(bytes: string): string {
  const raw = Buffer.from(bytes, 'latin1');
  if (isUtf8(raw)) return raw.toString('utf8');
  return bytes.replace(/[\u0080-\u00ff]/g, (c) => `\\x${c.charCodeAt(0).toString(16)}`);
}

/**
 * The bytes of command line arguments that are not UTF-8. Node decodes arguments and puts U+FFFD for what
 * it does not understand; /proc/self/cmdline has what was given.
 * @param cmdline its content, one byte per character
 */
export function argumentBytes(
  argument: string,
  cmdline = readFileSync('/proc/self/cmdline', 'latin1'),
): string {
  if (!argument.includes('\uFFFD')) return bytesOf(argument);
  const raw = cmdline.split('\0').find((bytes) => Buffer.from(bytes, 'latin1').toString('utf8') === argument);
  return raw ?? bytesOf(argument);
}

async function resolved(path: string): Promise<string> {
  return (await realpath(Buffer.from(path, 'latin1'), 'buffer')).toString('latin1');
}

/** Absolute, with the symlinks of the parents resolved; the last component is taken as it is. */
export async function absoluteBytes(path: string): Promise<string> {
  const absolute = posix.resolve(bytesOf(process.cwd()), path);
  if (absolute === '/') return absolute;
  return posix.join(await resolved(posix.dirname(absolute)), posix.basename(absolute));
}

/** As `absoluteBytes`, with all symlinks resolved. */
export async function realBytes(path: string): Promise<string> {
  return resolved(posix.resolve(bytesOf(process.cwd()), path));
}
