/**
 * A function that makes plain objects of one shape: member name → the expression for its value, over `from`.
 *
 * V8 makes and writes as JSON such objects an order of magnitude faster than ones that get their members by computed
 * names (measured: 12 against 150 microseconds for the rows of a list of 100 images), so the function is generated.
 * The expressions are code: they must hold nothing that comes from outside. One costs a tenth of a millisecond; keep it.
 */
export function compileRecord<T>(members: Iterable<[string, string]>): (from: T) => Record<string, unknown> {
  // In brackets, as __proto__ without them would set the prototype.
  const literal = Array.from(members, ([name, value]) => `[${JSON.stringify(name)}]: ${value}`);
  return new Function('from', `return { ${literal.join(', ')} };`) as (from: T) => Record<string, unknown>;
}
