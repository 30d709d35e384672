import js from '@eslint/js';
import globals from 'globals';
import tseslint from 'typescript-eslint';

/**
 * Who may import whom: `cli → fuse, coordinator → transfer → sites, leases, policy, namespace → core`.
 * Each row names the folders that its key may import; everything else is an error.
 */
const mayImport = {
  core: [],
  namespace: ['core'],
  leases: ['core'],
  policy: ['core'],
  sites: ['core'],
  transfer: ['core', 'sites', 'policy', 'leases', 'namespace'],
  coordinator: ['core', 'namespace', 'leases', 'policy', 'sites', 'transfer'],
  fuse: ['core', 'namespace', 'transfer', 'coordinator'],
};
const folders = [...Object.keys(mayImport), 'cli'];

/** A vendor's package is imported in exactly one adapter. */
const vendorAdapters = {
  '@grpc/grpc-js': 'src/coordinator/grpc/grpc-adapter.ts',
  lmdb: 'src/coordinator/lmdb-store.ts',
  etcd3: 'src/coordinator/etcd/etcd-client.ts',
  winston: 'src/cli/winston-logger.ts',
  yaml: 'src/cli/config/yaml-document.ts',
  '@aws-sdk/client-s3': 'src/sites/s3/sdk-client.ts',
  '@aws-sdk/lib-storage': 'src/sites/s3/sdk-client.ts',
  '@napi-rs/blake-hash': 'src/transfer/block-codec.ts',
  '@toondepauw/node-zstd': 'src/transfer/block-codec.ts',
};

const vendorPaths = (file) =>
  Object.entries(vendorAdapters)
    .filter(([, adapter]) => adapter !== file)
    .map(([name, adapter]) => ({ name, message: `only ${adapter} may import ${name}` }));

const importRules = Object.entries(mayImport).map(([folder, allowed]) => ({
  files: [`src/${folder}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        paths: vendorPaths(''),
        patterns: [
          {
            regex: `^\\.\\./(?:\\.\\./)?(${folders.filter((f) => f !== folder && !allowed.includes(f)).join('|')})/`,
            message: `src/${folder} may import only: ${allowed.join(', ') || 'nothing'} (doc/ARCHITECTURE.md)`,
          },
        ],
      },
    ],
  },
}));

const adapterRules = Object.values(vendorAdapters).map((file) => ({
  files: [file],
  rules: { 'no-restricted-imports': ['error', { paths: vendorPaths(file) }] },
}));

export default tseslint.config(
  { ignores: ['dist', 'node_modules', 'native/build', 'coverage'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  { files: ['**/*.js', '**/*.mjs'], languageOptions: { globals: globals.node } },
  { files: ['bench/**/*.ts', 'src/cli/output.ts'], rules: { 'no-console': 'off' } },
  ...importRules,
  { files: ['src/cli/**/*.ts'], rules: { 'no-restricted-imports': ['error', { paths: vendorPaths('') }] } },
  ...adapterRules,
);
