import type { Ino } from '../../../src/core/index.js';
import { Random } from '../../support/random-steps.js';
import { type ClientWorld, ModelClient } from './client.js';
import { ModelFiles } from './files.js';
import { type LeaderWorld, ModelLeader } from './leader.js';
import { Link, type LinkEnd } from './link.js';
import { ModelNames } from './names.js';
import { Oracle } from './oracle.js';
import { NAMES, Program } from './program.js';
import type { ServerMessage } from './protocol.js';
import { Rules } from './rules.js';
import { Simulation, Violation } from './simulation.js';
import { Store } from './store.js';
import { DRIFT_PERCENT, ELECTION_MS, LEADERSHIP_MS, TTL_MS } from './times.js';

const MOUNTS_MAX = 4;
const PROGRAMS_PER_MOUNT = 2;
const CALLS_MAX = 14;
const FAULTS_MAX = 5;
/** Faults happen until then; what is not finished so much later never will be. */
const FAULTS_UNTIL_MS = 3 * TTL_MS;
const CUT_AGAIN_MAX_MS = 400;
const STUCK_AFTER_MS = 60 * TTL_MS;
const FIRST_INO = 10;

interface Mount {
  readonly client: ModelClient;
  readonly files: ModelFiles;
  readonly names: ModelNames;
  readonly links: Set<Link>;
  /** The one that inspects is not. */
  readonly faulty: boolean;
  outOfReachUntilMs: number;
}

/** One schedule: some mounts, a coordinator that may fail over, faults, and what must be true all the time. */
export class World implements ClientWorld, LeaderWorld {
  readonly simulation: Simulation;
  readonly rules: Rules;
  readonly oracle = new Oracle();
  readonly store = new Store();
  readonly #mounts: Mount[] = [];
  readonly #programs: { readonly program: Program; readonly mount: Mount }[] = [];
  #leader: ModelLeader | undefined;
  #electing = false;
  #lastIno = FIRST_INO;
  #lastSession = 0;

  constructor(seed: number, rules = new Rules(), trace?: (line: string) => void) {
    this.simulation = new Simulation(new Random(seed), trace);
    this.rules = rules;
    this.#addFile('a');
    this.#addFile('b');
    this.#leader = new ModelLeader(this, DRIFT_PERCENT);
    const mounts = 2 + this.simulation.random.int(MOUNTS_MAX - 1);
    for (let i = 0; i < mounts; i++) this.#addPrograms(this.#addMount(true));
    const faults = this.simulation.random.int(FAULTS_MAX + 1);
    for (let i = 0; i < faults; i++)
      this.simulation.at(this.simulation.random.int(FAULTS_UNTIL_MS), () => this.#fault());
  }

  /** @throws Violation */
  run(): void {
    const untilMs = FAULTS_UNTIL_MS + STUCK_AFTER_MS;
    this.#runUntil(untilMs, () => this.#programs.every(({ program }) => program.finished));
    this.#inspect(this.simulation.nowMs + STUCK_AFTER_MS);
  }

  dial(client: ModelClient, end: LinkEnd<ServerMessage>): Link | undefined {
    const mount = this.#mounts.find((other) => other.client === client) as Mount;
    const leader = this.#leader;
    if (leader === undefined || leader.node.dead || this.simulation.nowMs < mount.outOfReachUntilMs)
      return undefined;
    const link = new Link(this.simulation, end, (opened) => leader.accept(opened));
    mount.links.add(link);
    return link;
  }

  newSessionId(): string {
    return String(++this.#lastSession);
  }

  isUsed(ino: Ino): boolean {
    return this.#mounts.some(({ client, files }) => {
      const id = client.session?.id;
      return !client.node.dead && !this.oracle.hasEnded(id) && files.isUsedBy(id, ino);
    });
  }

  checkAlone(writer: ModelClient, ino: Ino): void {
    for (const { client } of this.#mounts) {
      if (client !== writer && !client.node.dead && client.has(ino, 'read'))
        throw new Violation(
          `inode ${ino} is written by session ${writer.session?.id}, and session ${client.session?.id} has a lease on it`,
        );
    }
  }

  #runUntil(untilMs: number, done: () => boolean): void {
    if (this.simulation.run(untilMs, done)) return;
    const stuck = this.#programs
      .filter(({ program }) => !program.finished)
      .map(({ program }) => program.call);
    const left = [...this.store.state.inodes.values()].filter(({ named }) => !named).map(({ ino }) => ino);
    throw new Violation(
      `not finished: ${stuck.join('; ') || 'the inspection'}; without a name: ${left.join(', ')}`,
    );
  }

  #addFile(name: string): void {
    const ino = this.#newIno();
    const change = this.simulation.newChange();
    const record = { ino, attributes: change, content: change, version: 1, named: true };
    this.store.state.inodes.set(ino, record);
    this.store.state.names.set(name, { change, ino });
    this.oracle.name(name).append(change, 0);
    this.oracle.addFile(ino, change);
  }

  #newIno(): Ino {
    return this.#lastIno++ as Ino;
  }

  #addMount(faulty: boolean): Mount {
    const client = new ModelClient(this, DRIFT_PERCENT);
    const files = new ModelFiles(client);
    const names = new ModelNames(client, files);
    const mount = { client, files, names, links: new Set<Link>(), faulty, outOfReachUntilMs: 0 };
    this.#mounts.push(mount);
    client.start();
    return mount;
  }

  #addPrograms(mount: Mount): void {
    for (let i = 0; i < PROGRAMS_PER_MOUNT; i++) {
      const calls = 2 + this.simulation.random.int(CALLS_MAX - 1);
      const program = new Program(mount.client, mount.files, mount.names, calls, () => this.#newIno());
      this.#programs.push({ program, mount });
      program.start();
    }
  }

  #fault(): void {
    const { random } = this.simulation;
    const mount = random.of(this.#mounts.filter(({ faulty }) => faulty));
    const choice = random.int(100);
    this.simulation.note(() => `fault ${choice} at mount ${this.#mounts.indexOf(mount)}`);
    if (choice < 20) this.#cut(mount);
    else if (choice < 32) {
      mount.outOfReachUntilMs = this.simulation.nowMs + random.int(3 * TTL_MS);
      this.#cut(mount);
    } else if (choice < 52) mount.client.node.pause(random.int(3 * TTL_MS));
    else if (choice < 60) mount.client.node.jumpWall((random.int(21) - 10) * TTL_MS);
    else if (choice < 66) this.#crash(mount);
    else if (choice < 80) this.#failOver('crash');
    else this.#failOver(random.chance(50) ? 'cut off' : 'paused');
  }

  /** Often the stream that follows does not live long either. */
  #cut(mount: Mount, again = 50): void {
    for (const link of mount.links) link.cut();
    mount.links.clear();
    const { random } = this.simulation;
    if (random.chance(again)) this.simulation.after(random.int(CUT_AGAIN_MAX_MS), () => this.#cut(mount, 0));
  }

  #crash(mount: Mount): void {
    mount.client.node.die();
    this.#cut(mount);
    for (const { program, mount: of } of this.#programs) if (of === mount) program.finished = true;
  }

  /** 'cut off' from the store, or 'paused': the old leader does not know, and the next one starts later. */
  #failOver(kind: 'crash' | 'cut off' | 'paused'): void {
    const { random } = this.simulation;
    const leader = this.#leader;
    if (leader === undefined || this.#electing) return;
    this.#electing = true;
    if (kind === 'crash') {
      leader.crash();
      this.#leader = undefined;
      this.simulation.after(1 + random.int(TTL_MS), () => this.#elect());
      return;
    }
    // The last renewal was some time ago already.
    const agoMs = random.int(ELECTION_MS / 3);
    leader.loseElection(LEADERSHIP_MS - agoMs);
    if (kind === 'paused') leader.node.pause(random.int(2 * TTL_MS));
    this.simulation.after(ELECTION_MS - agoMs, () => this.#elect());
  }

  #elect(): void {
    this.simulation.note(() => 'a new leader');
    this.#electing = false;
    this.#leader = new ModelLeader(this, DRIFT_PERCENT);
  }

  /** All is quiet: a new mount sees all that was acknowledged, and nothing is left behind. */
  #inspect(untilMs: number): void {
    for (const mount of this.#mounts) mount.outOfReachUntilMs = 0;
    const { names, files } = this.#addMount(false);
    const begunMs = this.simulation.nowMs;
    let left: number = NAMES.length;
    for (const name of NAMES) {
      names.open(name, (ino) => {
        if (ino === undefined) left--;
        else
          files.read(ino, (content) => {
            this.oracle.content(ino).read(content ?? 0, begunMs, this.simulation.nowMs);
            files.unuse(ino, false, true);
            left--;
          });
      });
    }
    this.#runUntil(untilMs, () => left === 0);
    this.#forgetUnused();
    this.#runUntil(untilMs, () => this.#isClean());
  }

  #forgetUnused(): void {
    for (const { client } of this.#mounts) client.node.run(() => client.releaseUnused());
    this.simulation.after(TTL_MS, () => this.#forgetUnused());
  }

  /** Nobody uses an inode without a name, so there is none. */
  #isClean(): boolean {
    return [...this.store.state.inodes.values()].every(({ named }) => named);
  }
}

/** Runs one schedule. @returns what went wrong */
export function violationOf(
  seed: number,
  rules = new Rules(),
  trace?: (line: string) => void,
): string | undefined {
  try {
    new World(seed, rules, trace).run();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof Violation) return thrown.message;
    throw thrown;
  }
}
