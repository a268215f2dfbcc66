// Prints what vitest counted as the line that every CI can read. No result file is a failure.
import { readFileSync } from 'node:fs';

const { numPassedTests, numFailedTests, numPendingTests, numFailedTestSuites, numTotalTests } =
  JSON.parse(readFileSync(process.argv[2], 'utf8'));
if (numTotalTests === 0) throw new Error('no test was run');
// A file that could not even be loaded has no failed tests of its own.
const failed = numFailedTests > 0 ? numFailedTests : numFailedTestSuites;
const skipped = numPendingTests > 0 ? `, ${numPendingTests} skipped` : '';
console.log(`${numPassedTests} passed, ${failed} failed${skipped}`);
// CI installs what every test needs, so one that was skipped is a fault of CI.
if (failed > 0 || numPendingTests > 0) process.exitCode = 1;
