/**
 * gRPC: how mounts and administration reach a coordinator over the network. `grpc-adapter.ts` alone knows the
 * library; the rest sends messages in its frames.
 */
export { AdminClient, type AdminClientOptions } from './admin-client.js';
export { GrpcDialer, type GrpcDialerOptions } from './grpc-dialer.js';
export { GrpcServer, type GrpcServerOptions } from './grpc-server.js';
export { readTlsMaterial, type TlsMaterial } from './tls-material.js';
