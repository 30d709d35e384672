import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformSync } from '@swc/core';

const projectDir = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Compiles folders of `src/` for a child process: node alone does not run TypeScript, and dist/ may be
 * absent or old. The addon and the packages are linked to where the sources look for them.
 * @param target a directory; `<target>/src/...` holds the output
 */
export function transpile(target: string, folders: readonly string[]): void {
  for (const folder of folders) {
    for (const file of readdirSync(join(projectDir, 'src', folder))) {
      if (!file.endsWith('.ts')) continue;
      const source = readFileSync(join(projectDir, 'src', folder, file), 'utf8');
      const { code } = transformSync(source, {
        jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
        module: { type: 'es6' },
      });
      const output = join(target, 'src', folder, file.replace(/\.ts$/, '.js'));
      mkdirSync(dirname(output), { recursive: true });
      writeFileSync(output, code);
    }
  }
  for (const linked of ['node_modules', 'native'])
    symlinkSync(join(projectDir, linked), join(target, linked));
  writeFileSync(join(target, 'package.json'), '{"type":"module"}');
}
