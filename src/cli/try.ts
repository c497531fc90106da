/** `ingot try IMAGE`: a throw-away virtual machine from an image, its console on the terminal, gone when the command ends. */
import { newUuid } from '../kernel/uuid.ts';
import type { CommandContext } from './context.ts';
import { usageError } from './exit-codes.ts';
import { untilEnded } from './job.ts';
import type { Options } from './options.ts';
import { findMessage, readParameters } from './parameters.ts';
import { quoteWord } from './words.ts';

/** What it is given where the words don't say: enough for most, and little. */
const SIZE = { cpuNum: 1, memorySize: 512 * 2 ** 20 };
/** A blank disk for an ISO; it takes no space until something is written. */
const BLANK = 8 * 2 ** 30;
/** How often the console is asked for what is new, in milliseconds. */
const LOOK = 250;
const PIECE = 65_536;

type Inventory = Record<string, unknown> & { uuid: string; name: string; mediaType: string };

/** `words`: the image's name or uuid, and parameters of CreateVmInstance. */
export async function tryImage(
  context: CommandContext,
  words: readonly string[],
  options: Options,
): Promise<void> {
  const [wanted, ...parameters] = words;
  if (wanted === undefined || wanted.includes('=')) {
    throw usageError('try takes an image first: ingot try IMAGE [memorySize=1G …]');
  }
  const { interrupts, terminal } = context;
  const create = findMessage(context.messages, 'CreateVmInstance', []);
  const image = await imageOf(context, wanted);
  const given = readParameters(create, ['name=try', `imageUuid=${image.uuid}`, ...parameters]);
  const sized = given.instanceOfferingUuid === undefined ? SIZE : {};
  const blank =
    image.mediaType === 'ISO' && given.rootDiskOfferingUuid === undefined ? { rootDiskSize: BLANK } : {};
  let ended = false;
  const stopListening = interrupts.listen(() => {
    ended = true;
  });
  // Named by us, so that it is deleted wherever we are interrupted.
  const vm = newUuid();
  let sent = false;
  try {
    const begun = await context.connection.send(create, {
      ...sized,
      ...blank,
      ...given,
      name: `try-${image.name}`.slice(0, 255),
      resourceUuid: vm,
      userTags: ['ingot try'],
    });
    sent = true;
    if ('job' in begun) await untilEnded(context.connection, begun.job);
    if (!options.quiet) {
      terminal.remark(
        `'${image.name}' starts as virtual machine ${vm}. Its console follows; Ctrl-C ends and deletes it.`,
      );
    }
    const state = await follow(context, vm, () => ended || interrupts.signal.aborted);
    if (!options.quiet && state !== undefined) terminal.remark(`The guest has ended (${state}).`);
  } finally {
    stopListening();
    // Deleting it goes over the same connection, which an interrupt has closed.
    interrupts.renew();
    await ask(context, 'DestroyVmInstance', [`uuid=${vm}`]);
    if (sent && !options.quiet) terminal.remark('The virtual machine and its disk are deleted.');
  }
}

async function imageOf(context: CommandContext, wanted: string): Promise<Inventory> {
  const byUuid = /^[0-9a-f]{32}$/.test(wanted);
  const condition = `${byUuid ? 'uuid' : 'name'}=${wanted}`;
  const { inventories = [] } = (await ask(context, 'QueryImage', [condition])) as {
    inventories?: Inventory[];
  };
  const [image, ...others] = inventories;
  if (!image) {
    throw usageError(
      `there is no image with the ${byUuid ? 'uuid' : 'name'} ${quoteWord(wanted)}`,
      `Add it first: ingot AddImage name=${byUuid ? 'my-image' : quoteWord(wanted)} url=https://…`,
    );
  }
  if (others.length > 0) {
    const uuids = inventories.map(({ uuid }) => uuid).join(', ');
    throw usageError(
      `${inventories.length} images have the name ${quoteWord(wanted)}; name one by its uuid: ${uuids}`,
    );
  }
  return image;
}

/** Writes what the guest says until it ends, or `over` says so; fulfilled with the state that it ended in. */
async function follow(context: CommandContext, vm: string, over: () => boolean): Promise<string | undefined> {
  for (let from = 0; !over(); ) {
    const said = (await ask(context, 'GetVmConsoleLog', [
      `uuid=${vm}`,
      `from=${from}`,
      `bytes=${PIECE}`,
    ])) as {
      text: string;
      next: number;
      state: string;
    };
    context.terminal.wipe();
    context.terminal.process.stdout.write(said.text);
    const more = said.next > from;
    from = said.next;
    if (more) continue;
    if (said.state !== 'Running') return said.state;
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
  return undefined;
}

async function ask(
  { connection, messages }: CommandContext,
  name: string,
  words: readonly string[],
): Promise<Record<string, unknown>> {
  const message = findMessage(messages, name, []);
  const answer = await connection.send(message, readParameters(message, words));
  return 'job' in answer ? untilEnded(connection, answer.job) : answer.answer;
}
