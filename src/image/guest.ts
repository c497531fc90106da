import { arch } from 'node:os';

/** Linux and Paravirtualization get virtio devices, the others IDE and e1000 (image chapter, Platform). */
export function isParavirtual(platform: string): boolean {
  return platform === 'Linux' || platform === 'Paravirtualization';
}

/** The processor of the service's own machine, as images name it. */
export function hostArchitecture(): 'x86_64' | 'aarch64' | 'loongarch64' | 'mips64el' {
  switch (arch()) {
    case 'arm64':
      return 'aarch64';
    case 'loong64':
      return 'loongarch64';
    case 'mipsel':
      return 'mips64el';
    default:
      return 'x86_64';
  }
}
