// Prints the test counts of vitest as one line for CI. A missing result file is an error.
import { readFileSync } from 'node:fs';

const { numPassedTests, numFailedTests, numPendingTests, numFailedTestSuites, numTotalTests } =
  JSON.parse(readFileSync(process.argv[2], 'utf8'));
if (numTotalTests === 0) throw new Error('no tests were run');
// A file that cannot be loaded has no failed tests.
const failed = numFailedTests > 0 ? numFailedTests : numFailedTestSuites;
const skipped = numPendingTests > 0 ? `, ${numPendingTests} skipped` : '';
console.log(`${numPassedTests} passed, ${failed} failed${skipped}`);
// CI installs everything that the tests need, so a skipped test is an error of the CI setup.
if (failed > 0 || numPendingTests > 0) process.exitCode = 1;
