// A thread that reads an SQLite file. Plain JavaScript, since stripping types would cost each thread 9 MiB.
//
// A message is [number, statement, parameters, whether columns are wanted]; the answer is [number, rows as lists of
// values, columns as name and type where they were wanted], or [number, error message, whether it took too long].

import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

const database = new DatabaseSync(workerData.path, { readOnly: true });
database.exec(
  `pragma query_only = on; pragma busy_timeout = 5000; pragma cache_size = -${workerData.cacheKilobytes}`,
);
// Nothing stops SQLite on its way from row to row; so statements that may take long ask by themselves.
let until = 0;
database.function('in_time', () => {
  if (performance.now() < until) return 1;
  throw new Error('the statement takes too long');
});
const prepared = new Map();

function prepare(text) {
  let known = prepared.get(text);
  if (known) {
    prepared.delete(text);
  } else {
    const statement = database.prepare(text);
    statement.setReturnArrays(true);
    known = { statement, columns: statement.columns().map(({ name, type }) => ({ name, type })) };
    if (prepared.size >= workerData.statements) prepared.delete(prepared.keys().next().value);
  }
  prepared.set(text, known);
  return known;
}

parentPort.on('message', ([number, text, parameters, wanted]) => {
  until = performance.now() + workerData.timeLimit;
  try {
    const { statement, columns } = prepare(text);
    const rows = statement.all(...parameters);
    parentPort.postMessage(wanted ? [number, rows, columns] : [number, rows]);
  } catch (error) {
    parentPort.postMessage([number, error.message, performance.now() >= until]);
  }
});
