/**
 * POSIX ACLs as their extended attribute `system.posix_acl_access` or `_default` holds them
 * (linux/posix_acl_xattr.h): version 2, then entries of tag, permission bits and id, little-endian.
 */
const TAGS = { 'u:': 0x01, u: 0x02, 'g:': 0x04, g: 0x08, 'm:': 0x10, 'o:': 0x20 } as const;
const NO_ID = 0xffffffff;

/** @param text such as `u::rwx,u:65534:r--,g::r-x,m::rwx,o::---`; returns `0x` and hex digits */
export function acl(text: string): string {
  const entries = text.split(',').map((entry) => {
    const [who = '', id = '', bits = ''] = entry.split(':');
    const tag = TAGS[(id === '' ? `${who}:` : who) as keyof typeof TAGS];
    const permissions =
      (bits.includes('r') ? 4 : 0) | (bits.includes('w') ? 2 : 0) | (bits.includes('x') ? 1 : 0);
    return { tag, permissions, id: id === '' ? NO_ID : Number(id) };
  });
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(2, 0);
  entries.forEach(({ tag, permissions, id }, i) => {
    bytes.writeUInt16LE(tag, 4 + 8 * i);
    bytes.writeUInt16LE(permissions, 6 + 8 * i);
    bytes.writeUInt32LE(id, 8 + 8 * i);
  });
  return `0x${bytes.toString('hex')}`;
}
