import { GfsError } from '../core/index.js';

/**
 * POSIX ACLs as Linux does them (fs/posix_acl.c, include/uapi/linux/posix_acl_xattr.h). Only the first
 * three permission bits of each entry mean anything: r 4, w 2, x 1.
 */
export const ACL_ACCESS = 'system.posix_acl_access';
export const ACL_DEFAULT = 'system.posix_acl_default';

const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;

const USER_OBJ = 0x01;
const USER = 0x02;
const GROUP_OBJ = 0x04;
const GROUP = 0x08;
const MASK = 0x10;
const OTHER = 0x20;
const NO_ID = 0xffff_ffff;

interface AclEntry {
  readonly tag: number;
  readonly perm: number;
  /** uid or gid of USER and GROUP entries, else NO_ID. */
  readonly id: number;
}

/** Valid (in the sense of posix_acl_valid), at least USER_OBJ, GROUP_OBJ and OTHER, in that order. */
export type Acl = readonly AclEntry[];

/**
 * Reads an xattr's value.
 * @returns undefined for an ACL without entries: to set that is to remove
 * @throws GfsError EINVAL for a malformed or inconsistent list; EOPNOTSUPP for another version
 */
export function decodeAcl(bytes: Uint8Array): Acl | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_BYTES) throw invalid('is shorter than its header');
  if (view.getUint32(0, true) !== VERSION) throw new GfsError('EOPNOTSUPP', 'ACL of an unknown version');
  if ((bytes.length - HEADER_BYTES) % ENTRY_BYTES !== 0) throw invalid('ends within an entry');
  const acl: AclEntry[] = [];
  for (let at = HEADER_BYTES; at < bytes.length; at += ENTRY_BYTES) {
    acl.push({
      tag: view.getUint16(at, true),
      perm: view.getUint16(at + 2, true),
      id: view.getUint32(at + 4, true),
    });
  }
  if (acl.length === 0) return undefined;
  requireValid(acl);
  return acl;
}

export function encodeAcl(acl: Acl): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + acl.length * ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, VERSION, true);
  acl.forEach((entry, index) => {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    view.setUint16(at, entry.tag, true);
    view.setUint16(at + 2, entry.perm, true);
    view.setUint32(at + 4, entry.tag === USER || entry.tag === GROUP ? entry.id : NO_ID, true);
  });
  return bytes;
}

/** The tags must come in this order; USER and GROUP any number of times, MASK at most once. */
const ORDER = [USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER];

function requireValid(acl: Acl): void {
  let place = -1;
  let needsMask = false;
  let hasMask = false;
  let owners = 0;
  for (const { tag, perm, id } of acl) {
    const next = ORDER.indexOf(tag);
    const repeats = tag === USER || tag === GROUP;
    if (next < place || (next === place && !repeats) || next === -1)
      throw invalid('has entries out of order');
    if ((perm & ~7) !== 0) throw invalid('has unknown permissions');
    if (repeats && id === NO_ID) throw invalid('has an entry without id');
    place = next;
    needsMask ||= repeats;
    hasMask ||= tag === MASK;
    if (tag === USER_OBJ || tag === GROUP_OBJ || tag === OTHER) owners++;
  }
  if (owners !== 3 || (needsMask && !hasMask)) throw invalid('lacks a mandatory entry');
}

/** posix_acl_equiv_mode: the nine permission bits that the ACL means, and whether they say all of it. */
export function modeOfAcl(acl: Acl): { readonly bits: number; readonly minimal: boolean } {
  const bits = (permOf(acl, USER_OBJ) << 6) | (groupClassPerm(acl) << 3) | permOf(acl, OTHER);
  return { bits, minimal: acl.length === 3 };
}

/** posix_acl_chmod: the ACL after `chmod(mode)`. */
export function aclAfterChmod(acl: Acl, mode: number): Acl {
  return mapClasses(acl, () => mode);
}

/**
 * posix_acl_create: what a new inode gets from its parent's default ACL.
 * @param mode as asked for by the caller, without umask
 * @returns `access` undefined where the mode says it all
 */
export function inheritAcl(
  parentDefault: Acl,
  mode: number,
): { readonly mode: number; readonly access: Acl | undefined } {
  const masked = mapClasses(parentDefault, (current) => mode & current);
  const { bits, minimal } = modeOfAcl(masked);
  return { mode: (mode & ~0o777) | bits, access: minimal ? undefined : masked };
}

/** Sets owner, group class (the mask, where there is one) and others, given what they are now as mode bits. */
function mapClasses(acl: Acl, next: (currentBits: number) => number): Acl {
  const mode = next(modeOfAcl(acl).bits);
  const groupClass = acl.some(({ tag }) => tag === MASK) ? MASK : GROUP_OBJ;
  return acl.map((entry) => {
    if (entry.tag === USER_OBJ) return { ...entry, perm: (mode >> 6) & 7 };
    if (entry.tag === groupClass) return { ...entry, perm: (mode >> 3) & 7 };
    if (entry.tag === OTHER) return { ...entry, perm: mode & 7 };
    return entry;
  });
}

const groupClassPerm = (acl: Acl): number =>
  acl.some(({ tag }) => tag === MASK) ? permOf(acl, MASK) : permOf(acl, GROUP_OBJ);

const permOf = (acl: Acl, tag: number): number => acl.find((entry) => entry.tag === tag)?.perm ?? 0;

const invalid = (what: string): GfsError => new GfsError('EINVAL', `ACL ${what}`);
