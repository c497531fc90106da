/** Which system tags a resource takes: those of the patterns declared with it. */
import { IngotError } from '../kernel/errors.ts';
import { shorten } from '../kernel/format.ts';
import { didYouMean } from '../kernel/nearest.ts';
import { type Resource, resourceTypeOf } from '../kernel/resource.ts';

/** The pattern that the tag is of; SYS.1007 where it is of none, or its value is not one of the pattern's. */
export function patternOf(resource: Resource, tag: string): string {
  const patterns = resource.tags?.system ?? {};
  const pattern = Object.keys(patterns).find((candidate) => isOf(candidate, tag));
  if (pattern === undefined) {
    const known = Object.keys(patterns);
    const [first = ''] = tag.split('::');
    const near = didYouMean(
      first,
      known.map((each) => each.split('::')[0] ?? ''),
    );
    throw new IngotError(
      'SYS.1007',
      known.length === 0
        ? `${resourceTypeOf(resource)} takes no system tags`
        : `'${shorten(tag)}' is no system tag of ${resourceTypeOf(resource)}${near}`,
      { elaboration: `Known are: ${known.join(', ') || 'none'}.`, opaque: { parameter: 'systemTags' } },
    );
  }
  const { values } = patterns[pattern] ?? {};
  const value = tag.split('::').at(-1) ?? '';
  if (values && !values.includes(value)) {
    throw new IngotError(
      'SYS.1007',
      `'${shorten(tag)}' must end in one of ${values.join(', ')}${didYouMean(value, values)}`,
      { opaque: { parameter: 'systemTags' } },
    );
  }
  return pattern;
}

/** Whether the tag has the pattern's parts; `{…}` stands for any that is not empty. */
export function isOf(pattern: string, tag: string): boolean {
  const wanted = pattern.split('::');
  const parts = tag.split('::');
  return (
    wanted.length === parts.length &&
    wanted.every((part, i) => (part.startsWith('{') ? parts[i] !== '' : part === parts[i]))
  );
}
