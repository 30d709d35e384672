import type { Ino } from '../../src/core/index.js';
import type { Request, Result, SentInode, ServerMessage } from '../../src/coordinator/wire/index.js';
import type { InodeRecord, RecordWrite } from '../../src/namespace/index.js';
import type { ScriptedMount } from './scripted-mount.js';

/** The simplest mount that keeps what it may: names in the root directory, and records. */
export class CachingMount {
  readonly mount: ScriptedMount;
  readonly names = new Map<string, Ino | 'absent'>();
  readonly records = new Map<Ino, InodeRecord>();
  /** Sent and not answered, by id. Commands have their number in them. */
  readonly unanswered = new Map<number, Request>();
  readonly #random: () => number;

  /** @param random decides how long acknowledgements take */
  constructor(mount: ScriptedMount, random: () => number) {
    this.mount = mount;
    this.#random = random;
    mount.obliging = false;
    mount.listener = (message) => this.#receive(message);
  }

  send(request: Request): void {
    const { id } = this.mount.send(request);
    this.unanswered.set(id, request);
  }

  /** After a cut, or to a new leader: what was kept is dropped, what is not answered is asked again. */
  async comeBack(): Promise<void> {
    this.names.clear();
    this.records.clear();
    const again = [...this.unanswered.values()];
    this.unanswered.clear();
    const numbers = again.flatMap((request) => (request.op === 'execute' ? request.number : []));
    const answer = await this.mount.comeBack([], [], {
      answeredBelow: numbers.length === 0 ? 0 : Math.min(...numbers),
    });
    if (answer.kind !== 'welcome' || !answer.resumed)
      throw new Error(`not resumed: ${JSON.stringify(answer)}`);
    for (const request of again) this.send(request);
  }

  #receive(message: ServerMessage): void {
    switch (message.kind) {
      case 'notice':
        for (const notice of message.notices) {
          if (notice.kind === 'entry') this.names.delete(notice.name);
          else this.records.delete(notice.ino);
        }
        this.#acknowledge(message.id);
        break;
      case 'recall':
        if (message.to === 'known') this.records.delete(message.ino);
        this.#acknowledge(message.id);
        break;
      case 'query':
        this.#acknowledge(message.id);
        break;
      case 'error':
        this.unanswered.delete(message.id);
        break;
      case 'reply':
        this.#learn(message.result, this.unanswered.get(message.id));
        this.unanswered.delete(message.id);
        break;
      default:
    }
  }

  #acknowledge(id: number): void {
    let turns = Math.floor(this.#random() * 6);
    const wait = (): void => {
      if (turns-- > 0) setImmediate(wait);
      else this.mount.say({ kind: 'ack', id });
    };
    wait();
  }

  #learn(result: Result, request: Request | undefined): void {
    if (result.op === 'lookup' && request?.op === 'lookup') {
      if (result.entryLeased) this.names.set(request.name, result.inode?.record.ino ?? 'absent');
      if (result.inode !== undefined) this.#take(result.inode);
    } else if (result.op === 'execute') {
      this.#take(result.inode);
      result.writes.forEach((write, i) => this.#takeWrite(write, result.leased[i] === true));
    }
  }

  /** What the own command has changed and may not be kept is not what was kept before either. */
  #takeWrite(write: RecordWrite, leased: boolean): void {
    if (write.kind === 'inode') {
      if (leased && write.record !== undefined) this.records.set(write.ino, write.record);
      else this.records.delete(write.ino);
    } else if (write.kind === 'dentry' || write.kind === 'no-dentry') {
      if (leased) this.names.set(write.name, write.kind === 'dentry' ? write.ino : 'absent');
      else this.names.delete(write.name);
    }
  }

  #take({ record, leased }: SentInode): void {
    if (leased) this.records.set(record.ino, record);
    else this.records.delete(record.ino);
  }
}
