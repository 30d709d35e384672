import { Command } from 'commander';
import { absoluteBytes, argumentBytes, bytesOf, realBytes } from './byte-paths.js';
import { ControlClient } from './control-client.js';
import type { FileInfo } from './mount-service.js';
import { globalfsMounts, mountOf, readMounts } from './mountinfo.js';
import { outputOption, parseOutputFormat, printFindings, propertyLines, tableLines } from './output.js';
import { problem } from './problem.js';
import { formatBytes } from './quantities.js';

interface Place {
  readonly stateDir: string;
  /** Relative to the root of the mount; bytes, one per character. */
  readonly path: string;
}

function placeOf(path: string): Place | undefined {
  const all = readMounts().map((entry) => ({ ...entry, mountpoint: bytesOf(entry.mountpoint) }));
  const [entry] = globalfsMounts([mountOf(path, all)].filter((found) => found !== undefined));
  if (entry === undefined) return undefined;
  return { stateDir: entry.stateDir, path: path.slice(entry.mountpoint.length).replace(/^\//, '') };
}

async function locate(argument: string): Promise<Place> {
  const bytes = argumentBytes(argument);
  // A symlink is looked at itself; one that leads into a mount from outside is followed.
  const place = placeOf(await absoluteBytes(bytes)) ?? placeOf(await realBytes(bytes));
  if (place !== undefined) return place;
  throw problem('ENOENT', 'not in a GlobalFS', argument, "'globalfs status' lists the mounts");
}

function describe(argument: string, info: FileInfo): string[] {
  const lines = propertyLines([
    ['path', argument],
    ['inode', String(info.ino)],
    ['type', info.type],
    [
      'mode',
      `${(info.mode & 0o7777).toString(8).padStart(4, '0')}, owner ${info.uid}:${info.gid}, ${info.nlink} links`,
    ],
    ['size', `${info.size} bytes (${formatBytes(info.allocatedBytes)} on disk)`],
    ['version', String(info.version)],
    ['staged', info.staged ? 'yes: written, not sealed yet' : 'no'],
    ['cached', formatBytes(info.cachedBytes)],
  ]);
  if (info.blocks.length === 0) return lines;
  const rows = info.blocks.map((block) => [
    String(block.index),
    String(block.offset),
    String(block.bytes),
    block.present ? 'yes' : 'no',
    block.staged ? 'yes' : 'no',
    block.hash ?? '-',
  ]);
  return [...lines, ...tableLines(['BLOCK', 'OFFSET', 'BYTES', 'CACHED', 'STAGED', 'HASH'], rows)];
}

async function run(paths: string[], options: { output: string }): Promise<void> {
  const format = parseOutputFormat(options.output);
  const infos: (FileInfo & { path: string })[] = [];
  for (const path of paths) {
    const place = await locate(path);
    infos.push({ path, ...(await new ControlClient(place.stateDir).info(place.path)) });
  }
  await printFindings(format, {
    value: infos,
    lines: () => infos.flatMap((info, i) => [...(i === 0 ? [] : ['']), ...describe(info.path, info)]),
  });
}

export function infoCommand(): Command {
  return new Command('info')
    .description('what is known of a file: inode, version, blocks, and what of it is cached')
    .argument('<PATH...>', 'files or directories in a mount')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  globalfs info /globalfs/data.bin')
    .action(run);
}
