/** Times of the model, in ms of whoever's clock. They relate to each other as the real ones do. */
export const TTL_MS = 1000;
/** A mount serves from its cache so long after the sending of a heartbeat that is answered. */
export const DEADLINE_MS = TTL_MS * 0.9;
/** The coordinator waits so long for a heartbeat. */
export const EXPIRY_MS = TTL_MS * 1.1;
/** Clocks are wrong by so much at most: 0.9 / 0.95 is less than 1.1 / 1.05. */
export const DRIFT_PERCENT = 5;
export const HEARTBEAT_MS = TTL_MS / 4;
/** The store gives the election to another leader so long after the last renewal. */
export const ELECTION_MS = 1000;
/** By the leader's own clock. */
export const LEADERSHIP_MS = ELECTION_MS * 0.9;
