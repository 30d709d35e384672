/**
 * What the protocol promises to do. Each can be broken, to show that the check finds it: a rule whose breaking
 * is not found is not checked, or is not needed.
 */
export const RULES = {
  // the machine
  'notices are awaited': 'a mutation is answered after all notices of it are acknowledged',
  'entries are noticed': 'readers of a directory are told of a changed entry',
  'records are noticed': 'readers of an inode are told of its change',
  'recalls are awaited': 'a mode is granted after those in its way have let go',
  'reads keep away from writers': 'read is not given along with a reply while another session writes',
  'truncation excludes': 'a command that changes content waits until nobody else reads or writes',
  'claims are kept': 'a session that comes back holds what it claims',
  'pending recalls are repeated': 'a recall that a cut stream swallowed is sent again',
  'ended sessions let go': 'what a session held is free when it ends',
  // the coordinator
  'ended sessions are fenced': 'nothing is done for a session that has ended, nor does it come back',
  'grace after failover': 'a new leader waits until all sessions are back or expired',
  'superseded streams are ignored': 'messages of an older stream of a session do nothing',
  'old hellos are refused': 'a hello that was overtaken by a later one does nothing',
  'answers wait for the store': 'a command is answered after it is stored',
  'reads wait for the store': 'nothing is shown that is not stored',
  'reads wait for acknowledgements': 'nothing is shown while others may still be shown what was before',
  'errors wait for the store': 'an error is not told for what is not stored',
  'answers are evaluated anew': 'what had to wait is read again before it is sent',
  'expiry is stored first': 'what an expired session held is free after its end is stored',
  'sessions are stored first': 'a session is welcomed after it is stored',
  'commands apply once': 'a command that is sent again is not applied again',
  'repeated commands wait': 'a command that is sent again is answered not before the first would be',
  'leaders step down': 'a leader that cannot renew its election stops before the next one starts',
  'answers are compared': 'what a command wrote is leased only if it is still so when it is answered',
  'births are confirmed': 'who creates a file writes it only if nobody has asked for it before the answer',
  'effects are done in order':
    'what an effect leads to is done after the effects that were decided before it',
  'writers are queried': "attributes of a file that is written elsewhere are the writer's",
  'claims of applied commits lapse': 'a claim is void when the commit that gives it up was applied',
  'expiry is later than deadlines': 'the coordinator waits longer for a session than the session serves',
  // the client
  'deadlines are kept': 'nothing is served from the cache after the deadline',
  'deadlines count from sending': 'a deadline counts from the sending of the heartbeat, not from its answer',
  'deadlines are monotonic': 'a deadline does not depend on the wall clock',
  'reads lapse on reconnect': 'all that is cached is dropped before hello is said',
  'writers commit before letting go': 'a recall of write is acknowledged after the commit',
  'readers stop before letting go': 'a recall of read is acknowledged after the last use',
  'forgetting comes before acknowledging': 'a notice is acknowledged after all is forgotten',
  'authors forget first': 'what a command touches is not shown from the cache until it is answered',
  'open files are claimed': 'inodes in use are claimed as known',
  'files being created are in use': 'a new inode is in use from the sending of the command that makes it',
  'uncommitted files are claimed': 'inodes with uncommitted content are claimed as write',
  'commits lower at once': 'a commit that gives up the lease ends the writing when it is sent',
  'releases void earlier answers': 'an answer to a request older than a release is no lease',
  'lowering voids earlier answers': 'a grant that was asked for before the commit that gives it up is void',
  'commands keep their numbers': 'a command is sent again under its old number',
} as const;

export type Rule = keyof typeof RULES;

/** All rules, but perhaps one. */
export class Rules {
  readonly #broken: Rule | undefined;

  constructor(broken?: Rule) {
    this.#broken = broken;
  }

  hold(rule: Rule): boolean {
    return rule !== this.#broken;
  }
}

/** Breaking these goes wrong only when several rare things meet. */
export const RARELY_FOUND: ReadonlySet<Rule> = new Set<Rule>([
  'pending recalls are repeated',
  'superseded streams are ignored',
  'old hellos are refused',
  'reads wait for acknowledgements',
  'sessions are stored first',
  'births are confirmed',
  'effects are done in order',
  'expiry is later than deadlines',
  'deadlines count from sending',
  'deadlines are monotonic',
  'forgetting comes before acknowledging',
  'lowering voids earlier answers',
]);
