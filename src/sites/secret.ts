import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { assertNever, GfsError } from '../core/index.js';
import type { SecretRef } from './site-spec.js';

/** A password manager may ask a server; one that asks its user never ends. */
const COMMAND_TIMEOUT_MS = 30_000;

const SECRET_BYTES_MAX = 64 * 1024;

/**
 * The secret that a reference points to. No error of it holds any of the secret, nor of a command's output.
 * @param what it is for, for errors: `the secretAccessKey of site cloud`
 * @throws GfsError CONFIG when it is not there, or empty
 */
export async function resolveSecret(ref: SecretRef, what: string): Promise<string> {
  const secret = (await read(ref, what)).replace(/\r?\n$/, '');
  if (secret === '') throw problem(what, `${describe(ref)} is empty`);
  if (/[\r\n\0]/.test(secret)) throw problem(what, `${describe(ref)} has more than one line`);
  return secret;
}

function describe(ref: SecretRef): string {
  switch (ref.from) {
    case 'env':
      return `environment variable ${ref.name}`;
    case 'file':
      return `file ${ref.path}`;
    case 'command':
      return `the output of command '${ref.command}'`;
    default:
      return assertNever(ref);
  }
}

async function read(ref: SecretRef, what: string): Promise<string> {
  switch (ref.from) {
    case 'env': {
      const value = process.env[ref.name];
      if (value === undefined) throw problem(what, `${describe(ref)} is not set`);
      return value;
    }
    case 'file':
      try {
        return await readFile(ref.path, 'utf8');
      } catch (thrown) {
        throw problem(
          what,
          `${describe(ref)} cannot be read (${(thrown as NodeJS.ErrnoException).code ?? 'EIO'})`,
        );
      }
    case 'command':
      return outputOf(ref.command, what);
    default:
      return assertNever(ref);
  }
}

function outputOf(command: string, what: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      timeout: COMMAND_TIMEOUT_MS,
      killSignal: 'SIGKILL',
      maxBuffer: SECRET_BYTES_MAX,
    } as const;
    const child = execFile('/bin/sh', ['-c', command], options, (error, stdout) => {
      if (error === null) return resolve(stdout);
      // Its message would quote what the command printed: neither that nor the error itself is passed on.
      const how =
        error.killed === true
          ? `did not end in ${COMMAND_TIMEOUT_MS} ms`
          : `failed (${error.code ?? error.signal})`;
      reject(problem(what, `command '${command}' ${how}`));
    });
    child.stdin?.end();
  });
}

const problem = (what: string, how: string): GfsError => new GfsError('CONFIG', `${what}: ${how}`);
