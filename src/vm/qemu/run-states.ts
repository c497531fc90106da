/** The one that passes: QEMU holds a guest whose write found no room, and tells it of all other errors. */
export const FULL = 'io-error';

/** QEMU's states in which the guest has not powered off but doesn't run either, and what they mean. */
export const BROKEN: Readonly<Record<string, string>> = {
  'internal-error':
    'the hypervisor could not go on with the guest (internal error); where that is KVM, --accelerator tcg does without',
  'io-error': 'a disk could not be written, as its storage is full; it goes on when there is room again',
  'guest-panicked': "the guest's kernel panicked",
  watchdog: 'its watchdog stopped it',
};
