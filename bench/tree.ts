import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FANOUT = 100;

/**
 * Files in folders of a hundred, the same each time: text that compresses as sources do.
 * @param bytes of each file; undefined: 0.5 to 8 KiB
 */
export function makeTree(directory: string, files: number, seed: number, bytes?: number): void {
  let state = seed;
  const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  for (let i = 0; i < files; i++) {
    const folder = join(directory, `folder-${Math.floor(i / FANOUT)}`);
    if (i % FANOUT === 0) mkdirSync(folder, { recursive: true });
    const length = bytes ?? 512 + Math.floor(random() * 7680);
    let text = `// file ${i}\n`;
    while (text.length < length) text += `const value${Math.floor(random() * 1e6)} = ${random()};\n`;
    writeFileSync(join(folder, `file-${i}.ts`), text.slice(0, length));
  }
}
