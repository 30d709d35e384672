import { describe, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { EMPTY_PAYLOAD_HASH, RequestSigner } from '../../src/sites/s3/signature.js';

/** The key and the requests of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
const CREDENTIALS = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const HOST = 'examplebucket.s3.amazonaws.com';
const AT_MS = Date.UTC(2013, 4, 24);

const signer = new RequestSigner('us-east-1', () => AT_MS);

function signatureOf(headers: Record<string, string>): string {
  return /Signature=([0-9a-f]{64})$/.exec(headers.authorization ?? '')?.[1] ?? '';
}

describe('signature version 4', () => {
  test("is that of AWS's documentation for a GET of a range", () => {
    const headers = signer.sign(
      {
        method: 'GET',
        path: '/test.txt',
        query: '',
        headers: { host: HOST, range: 'bytes=0-9' },
        payloadHash: EMPTY_PAYLOAD_HASH,
      },
      CREDENTIALS,
    );
    expect(headers['x-amz-date']).toBe('20130524T000000Z');
    expect(headers.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE\/20130524\/us-east-1\/s3\/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,/,
    );
    expect(signatureOf(headers)).toBe('f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41');
  });

  test("is that of AWS's documentation for a PUT", () => {
    const headers = signer.sign(
      {
        method: 'PUT',
        path: '/test%24file.text',
        query: '',
        headers: {
          host: HOST,
          date: 'Fri, 24 May 2013 00:00:00 GMT',
          'x-amz-storage-class': 'REDUCED_REDUNDANCY',
        },
        payloadHash: createHash('sha256').update('Welcome to Amazon S3.').digest('hex'),
      },
      CREDENTIALS,
    );
    expect(signatureOf(headers)).toBe('98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd');
  });

  test("is that of AWS's documentation for requests with a query", () => {
    for (const [query, signature] of [
      ['lifecycle=', 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
      ['max-keys=2&prefix=J', '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
    ] as const) {
      const parts = {
        method: 'GET',
        path: '/',
        query,
        headers: { host: HOST },
        payloadHash: EMPTY_PAYLOAD_HASH,
      };
      expect(signatureOf(signer.sign(parts, CREDENTIALS))).toBe(signature);
    }
  });

  test('covers a session token, and changes with the day and the secret', () => {
    let nowMs = AT_MS;
    const moving = new RequestSigner('us-east-1', () => nowMs);
    const parts = {
      method: 'GET',
      path: '/',
      query: '',
      headers: { host: HOST },
      payloadHash: EMPTY_PAYLOAD_HASH,
    };
    const first = moving.sign(parts, CREDENTIALS);
    const session = moving.sign(parts, { ...CREDENTIALS, sessionToken: 'token' });
    expect(session['x-amz-security-token']).toBe('token');
    expect(session.authorization).toContain(';x-amz-security-token,');
    const rotated = moving.sign(parts, { ...CREDENTIALS, secretAccessKey: 'another' });
    nowMs += 86_400_000;
    const nextDay = moving.sign(parts, CREDENTIALS);
    nowMs -= 86_400_000;
    const all = [first, session, rotated, nextDay].map(signatureOf);
    expect(new Set(all).size).toBe(4);
    expect(signatureOf(moving.sign(parts, CREDENTIALS))).toBe(all[0]);
  });
});
