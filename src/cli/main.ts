#!/usr/bin/env node
/**
 * The command line: one file per command, and `compose.ts`, the one place where the parts of the system
 * are put together. May import every folder; no folder imports this one.
 * Modules that load the addon or the store are imported when a command needs them: `--help` and `doctor`
 * work where they are broken.
 */
import { Command, CommanderError } from 'commander';
import { coordinatorCommand } from './coordinator-command.js';
import { devCommand } from './dev/dev-command.js';
import { doctorCommand } from './doctor-command.js';
import { fsckCommand } from './fsck-command.js';
import { gcCommand } from './gc-command.js';
import { infoCommand } from './info-command.js';
import { leasesCommand } from './leases-command.js';
import { mountCommand } from './mount-command.js';
import { mountsCommand } from './mounts-command.js';
import { endQuietlyOnClosedPipe, printed, printError } from './output.js';
import { oneLine, problem } from './problem.js';
import { siteCommand } from './site-command.js';
import { statsCommand } from './stats-command.js';
import { statusCommand } from './status-command.js';
import { umountCommand } from './umount-command.js';
import { VERSION } from './version.js';
import { whereCommand } from './where-command.js';

function program(): Command {
  const root = new Command('globalfs')
    .description('One POSIX filesystem over many sites.')
    .version(VERSION, '-V, --version')
    .addHelpText(
      'after',
      '\nExample:\n  globalfs mount /globalfs && globalfs status\n\nExit codes: doc/CLI.md',
    );
  const commands = [
    mountCommand(),
    umountCommand(),
    statusCommand(),
    infoCommand(),
    fsckCommand(),
    gcCommand(),
    doctorCommand(),
    mountsCommand(),
    leasesCommand(),
    whereCommand(),
    statsCommand(),
    siteCommand(),
    coordinatorCommand(),
    devCommand(),
  ];
  for (const command of commands) root.addCommand(command);
  tellErrorsOurselves(root);
  return root;
}

/** Commander's own error lines are told by us, in our form; help and version go to stdout as they are. */
function tellErrorsOurselves(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => undefined });
  for (const inner of command.commands) tellErrorsOurselves(inner);
}

/** The words of the command line that name a command: `mount`, `site register`. */
function commandWords(root: Command, args: readonly string[]): string {
  const words: string[] = [];
  let command: Command | undefined = root;
  for (const word of args) {
    command = command.commands.find((inner) => inner.name() === word);
    if (command === undefined) break;
    words.push(word);
  }
  return words.join(' ');
}

/** Commander's errors in our words; undefined for help and version, which are no errors. */
function translate(thrown: unknown, command: string): unknown {
  if (!(thrown instanceof CommanderError)) return thrown;
  if (thrown.exitCode === 0) return undefined;
  const help = command === '' ? 'globalfs --help' : `globalfs ${command} --help`;
  const what =
    thrown.code === 'commander.help'
      ? 'no command given'
      : oneLine(thrown.message.replace(/^error: /, '').replace(/\((Did .*)\)$/, '$1'));
  return problem('CONFIG', what, '', `see '${help}'`);
}

async function main(): Promise<number> {
  endQuietlyOnClosedPipe();
  const root = program();
  try {
    await root.parseAsync();
    return 0;
  } catch (thrown) {
    const error = translate(thrown, commandWords(root, process.argv.slice(2)));
    return error === undefined ? 0 : printError(error);
  }
}

const exitCode = await main();
await printed();
process.exit(exitCode);
