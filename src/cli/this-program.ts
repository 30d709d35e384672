import { basename, relative } from 'node:path';

/** How this program was called, for lines that can be copied. */
export function thisProgram(): string {
  const script = process.argv[1] ?? 'globalfs';
  return basename(script) === 'main.js' ? `node ${relative(process.cwd(), script)}` : basename(script);
}
