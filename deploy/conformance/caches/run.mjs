// Runs the cache-tests.fyi suite (npm http-cache-tests) against one cache and prints, as JSON, what
// came of each test. `node run.mjs SUITE BASE`, with the folder of the package and the cache's URL.
//
// How a result is read follows the suite's lib/display.mjs, which cannot be loaded outside a browser.

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [suite, base] = process.argv.slice(2)
const load = path => import(pathToFileURL(`${suite}/${path}`).href)
const { runTests, getResults } = await load('client/runner.mjs')
const suites = (await load('tests/index.mjs')).default
const fetch = createRequire(`${suite}/package.json`)('node-fetch')

const tests = new Map()
for (const { tests: some } of suites) {
  for (const test of some) {
    if (!test.browser_only) tests.set(test.id, test)
  }
}

await runTests(suites, fetch, false, base)
const results = getResults()

const passed = ['pass', 'yes']

function read (id) {
  const test = tests.get(id)
  const result = results[id]
  if (result === undefined) return 'untested'
  // What a test builds on has to work first.
  if ((test.depends_on || []).some(other => !passed.includes(read(other)))) return 'dependency'
  if (result[0] === 'Setup') return result[1] === 'retry' ? 'retry' : 'setup'
  if (test.kind === 'check') return result === true ? 'yes' : 'no'
  return result === true ? 'pass' : 'fail'
}

const report = [...tests.values()].map(test => ({
  id: test.id,
  kind: test.kind || 'required',
  result: read(test.id),
  why: Array.isArray(results[test.id]) ? results[test.id][1] : null
}))
console.log(JSON.stringify(report))
process.exit(0)
