import { expect, test } from '@jest/globals';
import { MemoryNetwork } from '../../src/coordinator/wire/index.js';
import { dial, Listener, transportContract } from './transport-contract.js';

const ADDRESS = 'coordinator:7400';

transportContract('MemoryNetwork', (accept) => {
  const network = new MemoryNetwork();
  const stop = network.listen(ADDRESS, accept);
  return Promise.resolve({
    dialer: network.link('node1'),
    address: ADDRESS,
    deserted: 'nobody:7400',
    close: () => Promise.resolve(stop()),
  });
});

function network() {
  const memory = new MemoryNetwork();
  const listener = new Listener();
  const stop = memory.listen(ADDRESS, listener.accept);
  return { memory, listener, stop };
}

const turns = async (count: number): Promise<void> => {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve));
};

test('the listener sees the node by its name', async () => {
  const { memory, listener } = network();
  dial(memory.link('node7'), ADDRESS);
  expect((await listener.stream(0)).stream.peer).toBe('node7');
});

test('a cut ends the streams of one node, and what is under way is lost', async () => {
  const { memory, listener } = network();
  const [one, two] = [memory.link('one'), memory.link('two')];
  const [cut, other] = [dial(one, ADDRESS), dial(two, ADDRESS)];
  const server = await listener.stream(0);
  cut.stream.send({ kind: 'goodbye' });
  one.cut();
  await Promise.all([cut.until(() => cut.closed > 0), server.until(() => server.closed > 0)]);
  expect(cut.error?.code).toBe('UNAVAILABLE');
  expect(server.messages).toEqual([]);
  expect([one.connections, two.connections]).toEqual([0, 1]);
  expect(other.closed).toBe(0);
});

test('while a direction is stalled nothing arrives there; afterwards all of it, in order', async () => {
  const { memory, listener } = network();
  const link = memory.link('node1');
  const client = dial(link, ADDRESS);
  const server = await listener.stream(0);
  link.stall('down');
  client.stream.send({ kind: 'heartbeat', beat: 1 });
  server.stream.send({ kind: 'heartbeat', beat: 1 });
  await server.until(() => server.messages.length === 1);
  server.stream.send({ kind: 'heartbeat', beat: 2 });
  await turns(10);
  expect(client.messages).toEqual([]);
  link.resume();
  await client.until(() => client.messages.length === 2);
  expect(client.messages).toEqual([
    { kind: 'heartbeat', beat: 1 },
    { kind: 'heartbeat', beat: 2 },
  ]);
});

test('a connection that is made while the link is stalled comes about later', async () => {
  const { memory, listener } = network();
  const link = memory.link('node1');
  link.stall();
  const client = dial(link, ADDRESS);
  await turns(10);
  expect([client.closed, listener.accepted.length]).toEqual([0, 0]);
  link.resume();
  await listener.stream(0);
});

test('delays are in the hands of the one who schedules, and do not change the order', async () => {
  const waiting: { run: () => void; delayMs: number }[] = [];
  const memory = new MemoryNetwork({ schedule: (run, delayMs) => waiting.push({ run, delayMs }) });
  const listener = new Listener();
  memory.listen(ADDRESS, listener.accept);
  const link = memory.link('node1');
  link.delayMs = 50;
  const client = dial(link, ADDRESS);
  client.stream.send({ kind: 'heartbeat', beat: 1 });
  await turns(2);
  link.delayMs = 5;
  client.stream.send({ kind: 'heartbeat', beat: 2 });
  await turns(2);
  expect(waiting.map(({ delayMs }) => delayMs)).toEqual([50, 50, 5]);
  for (const { run } of waiting.reverse()) run();
  const server = await listener.stream(0);
  expect(server.messages).toEqual([
    { kind: 'heartbeat', beat: 1 },
    { kind: 'heartbeat', beat: 2 },
  ]);
});

test('a listener that stops ends its streams, and can be followed by another', async () => {
  const { memory, listener, stop } = network();
  const link = memory.link('node1');
  const client = dial(link, ADDRESS);
  await listener.stream(0);
  stop();
  await client.until(() => client.closed > 0);
  const early = dial(link, ADDRESS);
  await early.until(() => early.closed > 0);
  memory.listen(ADDRESS, listener.accept);
  dial(link, ADDRESS);
  await listener.stream(1);
});

test('a node that reaches nobody is told so', async () => {
  const { memory, listener } = network();
  const link = memory.link('node1');
  link.unreachable = true;
  const client = dial(link, ADDRESS);
  await client.until(() => client.closed > 0);
  expect(client.error?.code).toBe('UNAVAILABLE');
  expect(listener.accepted).toEqual([]);
});
