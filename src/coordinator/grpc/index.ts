/**
 * gRPC: how mounts and administration reach a coordinator over the network. `grpc-adapter.ts` alone knows the
 * library; the rest sends messages in its frames.
 */
export { AdminClient } from './admin-client.js';
export { GrpcDialer } from './grpc-dialer.js';
export { GrpcServer } from './grpc-server.js';
export { readTlsMaterial, type TlsMaterial } from './tls-material.js';
