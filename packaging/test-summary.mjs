// Prints jest's counts and, as the last line, 'N passed, N failed'; ends with 1 when anything failed.
// Usage: node test-summary.mjs JEST_JSON FAILED_CHECKS
import { readFileSync } from 'node:fs';

const [file, failedChecks] = process.argv.slice(2);

function read() {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    console.log(`jest left no results: ${error.message}`);
    return undefined;
  }
}

const jest = read();
const suitesBroken = jest?.numRuntimeErrorTestSuites ?? 1;
const passed = jest?.numPassedTests ?? 0;
const failed = (jest?.numFailedTests ?? 0) + suitesBroken + Number(failedChecks);
if (jest !== undefined) {
  console.log(
    `jest: ${jest.numPassedTestSuites} of ${jest.numTotalTestSuites} suites, ` +
      `${jest.numPassedTests} of ${jest.numTotalTests} tests passed, ${jest.numPendingTests} skipped`,
  );
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
