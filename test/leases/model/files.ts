import type { Ino } from '../../../src/core/index.js';
import { ANY_INODE, type ClientFiles, type ModelClient } from './client.js';
import {
  type Change,
  LEVELS,
  type ModelClaim,
  type ModelRecord,
  type ModelResult,
  type SentRecord,
} from './protocol.js';
import { Violation } from './simulation.js';

interface CommitUnderWay {
  readonly change: Change;
  readonly base: number;
  readonly number: number;
  readonly keepWrite: boolean;
}

interface ModelFile {
  uses: number;
  /** The session in which it was opened; 'lost' when that is over. */
  session: string;
  /** Written here, and not known to be committed; upon version `base`. */
  staged?: { change: Change; base: number };
  commit?: CommitUnderWay;
  /** To be called when the commit is over. */
  readonly afterCommit: (() => void)[];
  /** A command that makes new content is under way: the kernel lets nobody write meanwhile. */
  changing: boolean;
}

export interface Attributes {
  readonly attributes: Change;
  readonly content: Change;
}

/** How it went: 'stale' when the inode is no more, 'lost' when the session was lost before the answer. */
export type Outcome = 'done' | 'stale' | 'lost';

const YIELD_MAX_MS = 60;
const CHANGING_POLL_MS = 10;

/** The files of a mount: staging, commits, and the system calls on them. */
export class ModelFiles implements ClientFiles {
  readonly #client: ModelClient;
  readonly #files = new Map<Ino, ModelFile>();

  constructor(client: ModelClient) {
    this.#client = client;
    client.files = this;
  }

  // What the session asks.

  claims(): ModelClaim[] {
    const { rules } = this.#client.world;
    const claims: ModelClaim[] = [];
    for (const [ino, { staged, commit }] of this.#files) {
      const writes = this.#client.cache.level(ino) >= LEVELS.write;
      const claimed = rules.hold('uncommitted files are claimed');
      if (claimed && writes) claims.push({ ino, mode: 'write' });
      else if (claimed && staged !== undefined && commit !== undefined)
        claims.push({ ino, mode: 'write', committing: commit.number });
      else if (rules.hold('open files are claimed')) claims.push({ ino, mode: 'known' });
    }
    return claims;
  }

  yieldTo(ino: Ino, to: 'known' | 'read', stillAsked: () => boolean, done: () => void): void {
    const { node, world } = this.#client;
    const commits = world.rules.hold('writers commit before letting go');
    const yieldNow = (): void => {
      if (!stillAsked()) return;
      const file = this.#files.get(ino);
      if (commits && (file?.staged !== undefined || file?.commit !== undefined))
        this.#commit(ino, false, yieldNow);
      else done();
    };
    if (this.#client.cache.level(ino) <= LEVELS[to]) yieldNow();
    else node.after(world.simulation.delay(0, YIELD_MAX_MS), yieldNow);
  }

  live(ino: Ino): Change | undefined {
    return this.#files.get(ino)?.staged?.change;
  }

  isUsed(ino: Ino): boolean {
    return this.#files.has(ino);
  }

  /** In use by the session that opened it. */
  isUsedBy(session: string | undefined, ino: Ino): boolean {
    const file = this.#files.get(ino);
    return file !== undefined && file.uses > 0 && file.session === session;
  }

  seen(ino: Ino, version: number): void {
    const file = this.#files.get(ino);
    const commit = file?.commit;
    if (file === undefined || commit === undefined || commit.keepWrite || version <= commit.base) return;
    // Without a write lease nothing was written here since: the record says what has become of it.
    if (this.#client.cache.level(ino) < LEVELS.write && file.staged?.change === commit.change)
      delete file.staged;
  }

  sessionLost(): void {
    for (const [ino, file] of this.#files) {
      file.session = 'lost';
      const { staged } = file;
      delete file.staged;
      delete file.commit;
      if (staged !== undefined) this.#restore(ino, staged.base);
      for (const then of file.afterCommit.splice(0)) then();
    }
  }

  // What programs ask.

  use(ino: Ino): void {
    const file = this.#file(ino);
    file.uses++;
  }

  /** Closes, now or somewhat later; a file that nobody uses any more is committed, and perhaps released. */
  unuse(ino: Ino, lingers: boolean, releases: boolean): void {
    if (lingers) {
      this.#client.node.after(YIELD_MAX_MS, () => this.unuse(ino, false, releases));
      return;
    }
    const file = this.#file(ino);
    file.uses--;
    const leave = (): void => {
      if (file.uses > 0 || this.#files.get(ino) !== file) return;
      if (file.staged !== undefined || file.commit !== undefined) {
        this.#commit(ino, false, leave);
        return;
      }
      this.#files.delete(ino);
      if (releases) this.#client.release(ino);
    };
    leave();
  }

  stat(ino: Ino, done: (attributes: Attributes | undefined) => void): void {
    const record = this.#client.cache.records.get(ino);
    const touched = this.#client.isTouched(ino) || this.#client.isTouched(ANY_INODE);
    if (record !== undefined && this.#client.has(ino, 'read') && !touched) {
      done({ attributes: record.attributes, content: this.#view(ino, record) });
      return;
    }
    this.#client.request({ op: 'inode', ino }, (result) => {
      if (result.op !== 'inode') this.#gone(ino);
      done(result.op === 'inode' ? this.#viewSent(ino, result.inode) : undefined);
    });
  }

  read(ino: Ino, done: (content: Change | undefined) => void): void {
    const record = this.#client.cache.records.get(ino);
    const again = (found: boolean): void => (found ? this.read(ino, done) : done(undefined));
    if (this.#client.isTouched(ino)) this.stat(ino, (found) => done(found?.content));
    else if (!this.#client.has(ino, 'read')) this.#ask({ op: 'acquire', ino, mode: 'read' }, again);
    else if (record === undefined) this.#ask({ op: 'inode', ino }, again);
    else done(this.#view(ino, record));
  }

  write(ino: Ino, done: (outcome: Outcome) => void): void {
    const { cache, node } = this.#client;
    const file = this.#file(ino);
    const record = cache.records.get(ino);
    const again = (found: boolean): void => (found ? this.write(ino, done) : done('stale'));
    if (file.changing) node.after(CHANGING_POLL_MS, () => this.write(ino, done));
    else if (!this.#client.has(ino, 'write')) this.#ask({ op: 'acquire', ino, mode: 'write' }, again);
    else if (file.staged === undefined && record === undefined) this.#ask({ op: 'inode', ino }, again);
    else {
      const base = file.staged ?? { change: record?.content ?? 0, base: record?.version ?? 0 };
      file.staged = { change: this.#writeUpon(ino, base.change), base: base.base };
      done('done');
    }
  }

  /** fsync: what was written before is stored when it returns. */
  sync(ino: Ino, keepWrite: boolean, done: () => void): void {
    this.#commit(ino, keepWrite, done);
  }

  change(ino: Ino, kind: 'chmod' | 'truncate', done: (outcome: Outcome) => void): void {
    const { world } = this.#client;
    const file = this.#file(ino);
    if (kind === 'truncate' && (file.staged !== undefined || file.commit !== undefined || file.changing)) {
      this.write(ino, done);
      return;
    }
    const change = world.simulation.newChange();
    if (kind === 'truncate') file.changing = true;
    this.#client.execute({ kind, ino, change }, true, (result) => {
      if (kind === 'truncate') file.changing = false;
      if (result.op === 'execute') {
        const register = kind === 'chmod' ? world.oracle.attributes(ino) : world.oracle.content(ino);
        register.acknowledge(change, world.simulation.nowMs);
        done('done');
      } else if (result.op === 'lost') done('lost');
      else {
        this.#gone(ino);
        done('stale');
      }
    });
  }

  #file(ino: Ino): ModelFile {
    let file = this.#files.get(ino);
    if (file === undefined) {
      file = { uses: 0, session: this.#client.session?.id ?? 'lost', afterCommit: [], changing: false };
      this.#files.set(ino, file);
    }
    return file;
  }

  #writeUpon(ino: Ino, base: Change): Change {
    const { session, world } = this.#client;
    const change = world.simulation.newChange();
    world.checkAlone(this.#client, ino);
    const content = world.oracle.content(ino);
    content.append(change, base, session?.id);
    content.acknowledge(change, world.simulation.nowMs);
    return change;
  }

  /** @param done told whether the inode is there */
  #ask(
    request: { op: 'acquire'; ino: Ino; mode: 'read' | 'write' } | { op: 'inode'; ino: Ino },
    done: (found: boolean) => void,
  ): void {
    this.#client.request(request, (result) => {
      if (result.op === 'stale') this.#gone(request.ino);
      done(result.op !== 'stale');
    });
  }

  /** An open file's inode cannot go away while its session lives. */
  #gone(ino: Ino): void {
    const { session, world } = this.#client;
    if (this.isUsedBy(session?.id, ino) && !world.oracle.hasEnded(session?.id))
      throw new Violation(`inode ${ino} is gone, and session ${session?.id} uses it`);
  }

  #view(ino: Ino, record: ModelRecord): Change {
    return this.#files.get(ino)?.staged?.change ?? record.content;
  }

  #viewSent(ino: Ino, { record, live }: SentRecord): Attributes {
    return { attributes: record.attributes, content: live ?? this.#view(ino, record) };
  }

  #commit(ino: Ino, keepWrite: boolean, done: () => void): void {
    const { world } = this.#client;
    const file = this.#files.get(ino);
    if (file?.commit !== undefined) {
      file.afterCommit.push(() => this.#commit(ino, keepWrite, done));
      return;
    }
    if (file?.staged === undefined) {
      done();
      return;
    }
    const { change, base } = file.staged;
    const lowersNow = !keepWrite && world.rules.hold('commits lower at once');
    if (lowersNow) this.#client.lower(ino);
    const number = this.#client.execute(
      { kind: 'commit', ino, baseVersion: base, change },
      keepWrite,
      (result) => {
        if (!keepWrite && !lowersNow) this.#client.lower(ino);
        if (result.op !== 'lost') this.#committed(ino, file, result);
        done();
      },
    );
    file.commit = { change, base, number, keepWrite };
  }

  #committed(ino: Ino, file: ModelFile, result: ModelResult): void {
    const { session, world } = this.#client;
    const { commit, staged } = file;
    if (commit === undefined) return;
    delete file.commit;
    if (result.op === 'execute') {
      world.oracle.content(ino).acknowledgeDurable(commit.change, world.simulation.nowMs);
      if (staged?.change === commit.change) delete file.staged;
      else if (staged?.base === commit.base) staged.base++;
    } else if (!world.oracle.hasEnded(session?.id))
      throw new Violation(`session ${session?.id} may not commit ${commit.change} to inode ${ino}`);
    else delete file.staged;
    for (const then of file.afterCommit.splice(0)) then();
  }

  /**
   * What a lost session had not committed, stored as a new change if nobody has made another. A write lease that
   * the new session has by then, it keeps.
   */
  #restore(ino: Ino, baseVersion: number): void {
    const { world } = this.#client;
    const change = world.simulation.newChange();
    const file = this.#file(ino);
    file.changing = true;
    this.#client.execute({ kind: 'restore', ino, baseVersion, change }, true, (result) => {
      file.changing = false;
      if (result.op === 'execute') world.oracle.content(ino).acknowledge(change, world.simulation.nowMs);
    });
  }
}
