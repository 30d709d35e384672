import { GfsError, type Ino, toGfsError } from '../core/index.js';
import type { LeaseChanges } from '../leases/index.js';
import { type Command, type Executed, type Namespace, isRegular } from '../namespace/index.js';
import { answerOf, answerOfRepeated, isBirth } from './command-answer.js';
import { shownByError } from './command-error.js';
import { type ExecuteRequest, InFlightCommand } from './in-flight-command.js';
import type { LeaseDesk } from './lease-desk.js';
import type { OpenRequest } from './open-request.js';
import type { Orphans } from './orphans.js';
import type { Reader } from './reader.js';
import type { StoreWaits } from './store-waits.js';
import type { UnsettledChanges } from './unsettled-changes.js';

export interface CommandExecutorOptions {
  readonly namespace: Namespace;
  readonly desk: LeaseDesk;
  readonly waits: StoreWaits;
  readonly unsettled: UnsettledChanges;
  readonly orphans: Orphans;
  readonly reader: Pick<Reader, 'waits' | 'waitsToFail' | 'thaws'>;
  /** Evaluates a request anew. */
  readonly resume: (request: OpenRequest) => void;
}

type Request = OpenRequest<ExecuteRequest>;

/**
 * Executes the mounts' commands, each once: recalls what is in the way, applies, tells the others, and answers
 * when the command is stored and all others have forgotten what was before. One that fails tells of what others
 * have done: it waits until that may be shown, and is decided anew.
 */
export class CommandExecutor {
  readonly #options: CommandExecutorOptions;

  constructor(options: CommandExecutorOptions) {
    this.#options = options;
  }

  /** @throws GfsError as `Namespace.execute`; ESTALE for a commit of what another session writes */
  evaluate(request: Request): void {
    const { session, request: ask } = request;
    const outcome = session.applied.get(ask.number);
    if (outcome?.state === 'in-flight') {
      outcome.command.request = request;
      request.park();
    } else if (outcome !== undefined) {
      // The records may have been changed since, in ways that may not be shown yet.
      if (this.#options.reader.waits(request, [outcome.ino])) return;
      request.reply(answerOfRepeated(this.#options, request, outcome));
    } else if (ask.command.kind === 'reap') {
      this.#reap(request, ask.command.ino);
    } else if (!this.#options.reader.thaws(request) && !this.#waits(request)) {
      this.#execute(request);
    }
  }

  /** Nobody is shown any more what was before the command. */
  settled(command: InFlightCommand): void {
    if (command.over) return;
    command.settled = true;
    if (command.stored) this.#finish(command);
  }

  /** What a mount does not use any more, it has released. Deleting is the coordinator's, when nobody uses it. */
  #reap(request: Request, ino: Ino): void {
    const { namespace, desk, orphans } = this.#options;
    const record = namespace.inode(ino);
    if (record === undefined) throw new GfsError('ESTALE', 'the inode is no more', { context: { ino } });
    desk.perform(desk.machine.release(request.session.id, ino));
    orphans.released(ino);
    const inode = { record, leased: false, volatile: false };
    request.reply({ op: 'execute', inode, writes: [], leased: [] });
  }

  /** While the store is behind by more than its bound, or while others hold what the command needs alone. */
  #waits(request: Request): boolean {
    if (request.excluding) return false;
    const { namespace, waits, desk, resume } = this.#options;
    const congestion = namespace.congestion();
    if (congestion !== undefined) {
      request.park();
      waits.add(congestion, () => resume(request));
      return true;
    }
    const { session, request: ask } = request;
    const ino = this.#needsAlone(request, ask.command);
    if (ino === undefined) return false;
    request.park();
    request.giveUp = () => desk.perform(desk.machine.cancel(request));
    request.excluding = true;
    desk.perform(desk.machine.exclude(session.id, ino, request));
    return true;
  }

  /**
   * Content, and what its writer says of size and times, change only by the one that may write. Who holds the
   * write lease may; for anybody else the others let go first. A session without it does not commit what
   * another writes: that one was given the file when this one lost it.
   */
  #needsAlone({ session }: Request, command: Command): Ino | undefined {
    if (command.kind !== 'commit' && command.kind !== 'setattr') return undefined;
    const { namespace, desk } = this.#options;
    const { ino } = command;
    const record = namespace.inode(ino);
    if (record === undefined || !isRegular(record)) return undefined;
    if (desk.machine.mode(session.id, ino) === 'write') return undefined;
    const written = desk.machine.writerOf(ino) !== undefined;
    if (command.kind === 'setattr') {
      const times = command.mtimeNs !== undefined || command.allocatedBytes !== undefined;
      return command.size !== undefined || (written && times) ? ino : undefined;
    }
    if (!written) return ino;
    throw new GfsError('ESTALE', 'another mount writes the file; this one has lost it', { context: { ino } });
  }

  #execute(request: Request): void {
    const { namespace, desk, reader, waits, unsettled, orphans } = this.#options;
    const { session, request: ask } = request;
    let executed: Executed;
    try {
      executed = namespace.execute(ask.command, (result) => [
        ...session.applied.forget(ask.answeredBelow),
        session.applied.record(ask.number, result),
      ]);
    } catch (thrown) {
      if (request.excluding) this.#lower(request);
      const error = toGfsError(thrown);
      const shown = shownByError(namespace, ask.command, error);
      if (reader.waitsToFail(request, shown, error)) return;
      throw thrown;
    }
    const command = new InFlightCommand(request, executed);
    request.park();
    if (executed.writes.length > 0) session.applied.start(ask.number, command);
    orphans.note(executed.writes);
    if (isBirth(executed.inode, ask.command)) desk.machine.grant(session.id, executed.inode.ino, 'write');
    desk.announce(command, changesOf(executed, ask.command));
    if (command.owing.size > 0) {
      command.hidden = true;
      unsettled.add(command);
    }
    this.#lower(request);
    // Who has changed nothing waits for what it found.
    const changed = executed.writes.length > 0;
    const stored = changed ? namespace.stored() : namespace.pendingCommit(executed.inode.ino);
    waits.add(stored ?? STORED, (undone) => {
      if (undone !== undefined) this.#undo(command, undone);
      else {
        command.stored = true;
        if (command.settled) this.#finish(command);
      }
    });
  }

  /** What the author keeps of an inode that it had alone, or has committed for the last time: others may read. */
  #lower(request: Request): void {
    const { command, keepWrite } = request.request;
    if (command.kind !== 'commit' && command.kind !== 'setattr') return;
    const last = command.kind === 'commit' && !keepWrite;
    if (!request.excluding && !last) return;
    request.excluding = false;
    const { desk } = this.#options;
    desk.perform(desk.machine.lower(request.session.id, command.ino, 'read'));
  }

  #finish(command: InFlightCommand): void {
    const { orphans } = this.#options;
    const { session, executed, number } = command;
    command.over = true;
    if (executed.writes.length > 0) session.applied.answered(number, executed);
    command.request.reply(answerOf(this.#options, command));
    if (executed.orphaned !== undefined) orphans.released(executed.orphaned.ino);
    this.#wake(command);
  }

  /** The store could not keep it: nothing has happened, and nobody has been shown anything else. */
  #undo(command: InFlightCommand, error: GfsError): void {
    if (command.over) return;
    const { desk } = this.#options;
    const { session, executed, number } = command;
    command.over = true;
    session.applied.undone(number);
    const { ino } = executed.inode;
    if (isBirth(executed.inode, command.command)) desk.perform(desk.machine.release(session.id, ino));
    // The author takes its file for one that it may write: it has been told nothing else.
    if (command.command.kind === 'commit' && !command.keepWrite) {
      desk.perform(desk.machine.acquire(session.id, ino, 'write', command));
    }
    command.request.fail(error);
    this.#wake(command);
  }

  #wake(command: InFlightCommand): void {
    if (command.hidden) this.#options.unsettled.remove(command);
    command.owing.clear();
    for (const reader of command.takeReaders()) this.#options.resume(reader);
  }
}

const STORED = Promise.resolve();

const NO_CHANGES: LeaseChanges = { entries: [], inodes: [] };

function changesOf({ invalidations, orphaned }: Executed, command: Command): LeaseChanges {
  if (isAccessTime(command)) return NO_CHANGES;
  const entries: [Ino, LeaseChanges['entries'][number][1]][] = [];
  const inodes: { ino: Ino; orphaned: boolean }[] = [];
  for (const change of invalidations) {
    if (change.kind === 'entry') entries.push([change.parent, change.name]);
    else inodes.push({ ino: change.ino, orphaned: change.ino === orphaned?.ino });
  }
  return { entries, inodes };
}

/** relatime: others may go on showing an older time of access. */
function isAccessTime(command: Command): boolean {
  if (command.kind !== 'setattr' || command.atimeNs === undefined) return false;
  const { mode, uid, gid, size, allocatedBytes, mtimeNs, killPrivileges } = command;
  const others = [mode, uid, gid, size, allocatedBytes, mtimeNs, killPrivileges];
  return others.every((value) => value === undefined);
}
