import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { projectDir } from './mounted.js';
import { run } from './run.js';

/**
 * Compiles the C files of a folder (or one file) into a program, once per content of the sources: the
 * program's name carries their hash. Two test workers may compile at once; the rename decides.
 * @returns the program's path
 */
export async function compileC(path: string, libraries: string[] = []): Promise<string> {
  const from = join(projectDir, path);
  const isFolder = (await stat(from)).isDirectory();
  const files = isFolder ? (await readdir(from)).sort().map((name) => join(from, name)) : [from];
  const hash = createHash('sha256');
  for (const file of files) hash.update(await readFile(file));
  const folder = join(projectDir, 'node_modules/.cache/globalfs-test');
  const name = path.replace(/\.c$/, '').replaceAll('/', '-');
  const program = join(folder, `${name}-${hash.digest('hex').slice(0, 16)}`);
  const exists = await stat(program).then(
    () => true,
    () => false,
  );
  if (exists) return program;
  await mkdir(folder, { recursive: true });
  const made = `${program}.${randomUUID()}`;
  const sources = files.filter((file) => file.endsWith('.c'));
  await run('gcc', ['-O2', '-Wall', '-Wno-format-truncation', '-o', made, ...sources, ...libraries]);
  await rename(made, program);
  return program;
}
