import { GfsError, type Logger, toGfsError } from '../core/index.js';
import { InodeFlag, type Namespace } from '../namespace/index.js';
import type { Grace } from './grace.js';
import { negotiateProtocol } from './handshake.js';
import type { LeaseDesk } from './lease-desk.js';
import type { LockRequests } from './lock-requests.js';
import type { Orphans } from './orphans.js';
import type { Session } from './session.js';
import type { SessionRegistry } from './session-registry.js';
import type { SiteRegistry } from './site-registry.js';
import type { Claim, Hello, ServerStream, Welcome } from './wire/index.js';

export interface AdmissionOptions {
  readonly namespace: Namespace;
  readonly sessions: SessionRegistry;
  readonly sites: SiteRegistry;
  readonly desk: LeaseDesk;
  readonly locks: LockRequests;
  readonly orphans: Orphans;
  readonly grace: Grace;
  readonly ttlMs: number;
  readonly logger: Logger;
}

/** Answers `hello`: with the session that the mount had, or with a new one. */
export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** @param done called with the session whose stream it is now; undefined when the mount was refused */
  admit(hello: Hello, stream: ServerStream, done: (session: Session | undefined) => void): void {
    const { sessions, sites } = this.#options;
    try {
      const protocol = negotiateProtocol(hello);
      const known = hello.session === undefined ? undefined : sessions.live(hello.session);
      if (known !== undefined) {
        if (hello.connection <= known.connection) {
          throw new GfsError('UNAVAILABLE', 'a later connection of this mount is there already');
        }
        this.#resume(known, hello, stream, protocol);
        done(known);
        return;
      }
      if (!sites.has(hello.site)) {
        const message = `site ${hello.site} is not registered (globalfs site add)`;
        throw new GfsError('CONFIG', message);
      }
      this.#open(hello, stream, protocol, done);
    } catch (thrown) {
      refuse(stream, toGfsError(thrown));
      done(undefined);
    }
  }

  /** The old stream may not have noticed yet that it is dead. */
  #resume(session: Session, hello: Hello, stream: ServerStream, protocol: number): void {
    const { namespace, sessions, desk, locks, orphans, grace } = this.#options;
    const { state } = session;
    session.connection = hello.connection;
    session.dropRequests();
    sessions.connected(session, stream);
    if (state.kind === 'connected') state.stream.close();
    stream.send(this.#welcome(session, protocol, true));
    locks.claim(session, hello.locks);
    const unanswered = new Set(session.applied.inos(hello.answeredBelow));
    desk.reset(session, validClaims(session, hello.claims), unanswered);
    if (session.state.kind === 'ended') return; // its claims contradict others'
    for (const ino of unanswered) {
      // A file without a name whose author has not been told yet that it is there.
      const flags = namespace.inode(ino)?.flags ?? 0;
      if ((flags & InodeFlag.linkable) !== 0) desk.machine.noteKnown(session.id, ino);
    }
    orphans.reapUnknown();
    grace.resolved(session);
  }

  #open(
    hello: Hello,
    stream: ServerStream,
    protocol: number,
    done: (session: Session | undefined) => void,
  ): void {
    const { sessions, desk, logger } = this.#options;
    const { site, member, mountpoint, pid, software } = hello;
    const epoch = (hello.session?.epoch ?? 0) + 1;
    sessions.open(epoch, { site, member, mountpoint, pid, software }, stream, (session, undone) => {
      if (undone !== undefined) {
        refuse(stream, undone);
        done(undefined);
        return;
      }
      session.connection = hello.connection;
      desk.machine.openSession(session.id);
      logger.info('A mount has come', { session: session.id, epoch, ...session.facts, peer: stream.peer });
      session.send(this.#welcome(session, protocol, false));
      done(session);
    });
  }

  #welcome({ id, epoch }: Session, protocol: number, resumed: boolean): Welcome {
    const { namespace, sites, ttlMs } = this.#options;
    return {
      kind: 'welcome',
      protocol,
      session: { id, epoch },
      resumed,
      ttlMs,
      clusterId: namespace.clusterId,
      sites: sites.list(),
    };
  }
}

/** Another session may hold what a commit has given up, though its author was not answered. */
function validClaims({ applied }: Session, claims: readonly Claim[]): Claim[] {
  return claims.map((claim) => {
    const { ino, committing } = claim;
    const isVoid = committing !== undefined && applied.get(committing) !== undefined;
    return isVoid ? { ino, mode: 'known' } : claim;
  });
}

function refuse(stream: ServerStream, { code, message }: GfsError): void {
  stream.send({ kind: 'refused', code, message });
  stream.close();
}
