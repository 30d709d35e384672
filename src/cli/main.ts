#!/usr/bin/env node
/**
 * The command line: one file per command, and `compose.ts`, the one place where the parts of the system
 * are put together. May import every folder; no folder imports this one.
 * Modules that load the addon or the store are imported when a command needs them: `--help` and `doctor`
 * work where they are broken.
 */
import { Command, CommanderError } from 'commander';
import { doctorCommand } from './doctor-command.js';
import { fsckCommand } from './fsck-command.js';
import { gcCommand } from './gc-command.js';
import { infoCommand } from './info-command.js';
import { mountCommand } from './mount-command.js';
import { endQuietlyOnClosedPipe, printError } from './output.js';
import { oneLine, problem } from './problem.js';
import { statusCommand } from './status-command.js';
import { umountCommand } from './umount-command.js';
import { VERSION } from './version.js';

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
  ];
  for (const command of commands) root.addCommand(command);
  for (const command of [root, ...commands]) {
    // Commander's own error lines are told by us, in our form; help and version go to stdout as they are.
    command.exitOverride().configureOutput({ outputError: () => undefined });
  }
  return root;
}

/** Commander's errors in our words; undefined for help and version, which are no errors. */
function translate(thrown: unknown, command: string | undefined): unknown {
  if (!(thrown instanceof CommanderError)) return thrown;
  if (thrown.exitCode === 0) return undefined;
  const named = command !== undefined && /^[a-z]+$/.test(command) && !thrown.code.endsWith('unknownCommand');
  const help = named ? `globalfs ${command} --help` : 'globalfs --help';
  const what =
    thrown.code === 'commander.help'
      ? 'no command given'
      : oneLine(thrown.message.replace(/^error: /, '').replace(/\((Did .*)\)$/, '$1'));
  return problem('CONFIG', what, '', `see '${help}'`);
}

async function main(): Promise<number> {
  endQuietlyOnClosedPipe();
  try {
    await program().parseAsync();
    return 0;
  } catch (thrown) {
    const error = translate(thrown, process.argv[2]);
    return error === undefined ? 0 : printError(error);
  }
}

process.exit(await main());
