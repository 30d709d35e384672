/** `primary`: where data lives by default; `burst`: machines for a while; `backup`: copies only. */
export const SITE_ROLES = ['primary', 'burst', 'backup'] as const;
export type SiteRole = (typeof SITE_ROLES)[number];

/** `draining`: gets no new data; `down`: is read around. */
export const SITE_STATUSES = ['active', 'draining', 'down'] as const;
export type SiteStatus = (typeof SITE_STATUSES)[number];

/** Where a secret is, never the secret itself: each node resolves it when it opens the store. */
export type SecretRef =
  | { readonly from: 'env'; readonly name: string }
  | { readonly from: 'file'; readonly path: string }
  /** Run by /bin/sh; its standard output without the last newline is the secret. */
  | { readonly from: 'command'; readonly command: string };

export interface S3StoreSpec {
  readonly kind: 's3';
  /** Absent: AWS's own for the region. */
  readonly endpoint?: string;
  readonly bucket: string;
  /** Begins every key; '' or ends in '/'. */
  readonly prefix: string;
  readonly region: string;
  /** `http://endpoint/bucket/key`, as most servers that are not AWS want it. */
  readonly pathStyle: boolean;
  /**
   * Whether a put's signature covers the body (SHA-256, about 4 ms of CPU per MiB). Absent: only where
   * nothing else protects it, over plain HTTP to another machine.
   */
  readonly signPayload?: boolean;
  /** Absent: what the AWS SDK finds by itself (environment, profile, instance role). */
  readonly credentials?: { readonly accessKeyId: SecretRef; readonly secretAccessKey: SecretRef };
  /** A PEM file of certificate authorities to trust besides the system's. */
  readonly caFile?: string;
}

export interface DirectoryStoreSpec {
  readonly kind: 'directory';
  /** Absolute; the same files at this path on every node of the site (one machine, or a shared filesystem). */
  readonly path: string;
}

/** `sites/<name>`, as JSON. */
export interface SiteSpec {
  /** 1 to 63 of `[a-z0-9-]`, beginning with a letter. */
  readonly name: string;
  readonly role: SiteRole;
  readonly status: SiteStatus;
  readonly store: S3StoreSpec | DirectoryStoreSpec;
}
