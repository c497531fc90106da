/** The rules of snapshot trees (zstack-api.md 5.6). */

export interface Node {
  uuid: string;
  parentUuid?: string | null;
}

export interface TreeNode<N extends Node> {
  inventory: N;
  parentUuid?: string;
  children: TreeNode<N>[];
}

/** The named ones and all that stand on them. */
export function withDescendants(all: readonly Node[], named: readonly string[]): Set<string> {
  const children = new Map<string, string[]>();
  for (const { uuid, parentUuid } of all) {
    if (parentUuid) children.set(parentUuid, [...(children.get(parentUuid) ?? []), uuid]);
  }
  const found = new Set<string>();
  const left = [...named];
  for (let uuid = left.pop(); uuid !== undefined; uuid = left.pop()) {
    if (found.has(uuid)) continue;
    found.add(uuid);
    left.push(...(children.get(uuid) ?? []));
  }
  return found;
}

/** The nearest one from `from` upwards that is not among `without`; undefined where the tree ends before. */
export function nearestAncestor<N extends Node>(
  all: readonly N[],
  from: string,
  without: ReadonlySet<string>,
): N | undefined {
  const byUuid = new Map(all.map((node) => [node.uuid, node]));
  let node = byUuid.get(from);
  while (node && without.has(node.uuid)) node = node.parentUuid ? byUuid.get(node.parentUuid) : undefined;
  return node;
}

/** The snapshots of one tree as what stands on what, oldest first; its root is the one without a parent. */
export function asTree<N extends Node>(all: readonly N[]): TreeNode<N> | undefined {
  const nodes = new Map<string, TreeNode<N>>();
  for (const inventory of all) {
    const { parentUuid } = inventory;
    nodes.set(inventory.uuid, { inventory, ...(parentUuid && { parentUuid }), children: [] });
  }
  let root: TreeNode<N> | undefined;
  for (const node of nodes.values()) {
    const parent = node.parentUuid === undefined ? undefined : nodes.get(node.parentUuid);
    if (parent) parent.children.push(node);
    else root ??= node;
  }
  return root;
}
