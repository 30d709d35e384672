import type { LiveAttributes } from '../coordinator/index.js';
import type { TimeNs } from '../core/index.js';
import type { OpenContent } from '../transfer/index.js';

/**
 * What a staged file says of itself, where everything that is staged was changed here. ctime is the last
 * change's: the file's mtime, unless that was set to a time to come.
 */
export function liveOf(content: OpenContent, nowNs: TimeNs): LiveAttributes {
  const { size, allocatedBytes, atimeNs, mtimeNs } = content.stat();
  return { size, allocatedBytes, atimeNs, mtimeNs, ctimeNs: mtimeNs < nowNs ? mtimeNs : nowNs };
}
