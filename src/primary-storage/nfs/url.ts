/** `host:/absolute/path`, the host perhaps an IPv6 address in brackets. */
export const NFS_URL = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9][A-Za-z0-9.-]*):(\/\S*)$/;
