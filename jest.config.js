/** Tests run the TypeScript sources; those that need the built package start child processes on dist/. */
// What a developer has tuned must not decide which paths are tested.
process.env.SOFTLANE_TUNING ??= 'off';

module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
        module: { type: 'commonjs', ignoreDynamic: true },
      },
    ],
  },
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/build'],
  maxWorkers: 2,
  // Globals of the test sandbox are slow to reach: these are read in inner loops.
  sandboxInjectedGlobals: ['Math', 'Number', 'Object'],
  testTimeout: 60_000,
};
