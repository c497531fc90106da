#!/usr/bin/env bash
# Makes a small guest that really boots, from Debian 12 packages alone, in three forms:
#
#   ingot-guest.raw     disk with an MBR: a FAT partition that boots, an ext4 partition with the guest's data
#   ingot-guest.qcow2   the same disk
#   ingot-guest.iso     the same guest as a hybrid ISO
#
#   make-guest-image.sh DIRECTORY
#
# The guest is a Debian kernel with busybox. It looks for its data on whatever disk it was given, checks the
# digest of a payload there, prints one line on the first serial port and powers off:
#
#   INGOT-GUEST ready disk=/dev/vda2 payload=ok        or       INGOT-GUEST failed: why
#
# Needs no root, no mounts, no KVM; runs on x86. The same packages give the same bytes. Does nothing when the
# files are there already and this script hasn't changed; of two at once, the second waits for the first.
set -euo pipefail
export LC_ALL=C TZ=UTC PATH=$PATH:/usr/sbin:/sbin
export SOURCE_DATE_EPOCH=1735689600 # 2025-01-01: every time stamp inside the images
export E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH MTOOLS_SKIP_CHECK=1

here=$(dirname "$(realpath "$0")")
out=$(realpath -m "${1:?usage: make-guest-image.sh DIRECTORY}")
boot_mib=16 root_mib=12 payload_mib=4
label=INGOT-GUEST

mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
recipe=$(sha256sum <"$here/make-guest-image.sh")
if [ "$(cat "$out/.recipe" 2>/dev/null)" = "$recipe" ]; then exit 0; fi
rm -f "$out/.recipe"
work=$(mktemp -d "$out/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# A date for each file and a fixed order, or the images would differ from one making to the next.
date_files() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

# --- kernel: out of its package, which is never installed -----------------------------------------------------
package=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
if [ -z "$package" ] && [ "$(id -u)" = 0 ]; then
  apt-get -q -o DPkg::Lock::Timeout=300 update >&2
  package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
fi
if [ -z "$package" ]; then
  echo "make-guest-image.sh: apt knows no linux-image-amd64; 'sudo apt-get update' may help" >&2
  exit 1
fi
version=${package#linux-image-}
tree=$work/kernel
mkdir "$tree"
modules=lib/modules/$version
dpkg-deb --fsys-tarfile "$(node "$here/debian-files.mjs" fetch "$package")" | tar -x -C "$tree" --wildcards \
  "./boot/vmlinuz-*" "./$modules/modules.*" "./$modules/kernel/arch/x86/crypto" "./$modules/kernel/crypto" "./$modules/kernel/lib" \
  "./$modules/kernel/block" "./$modules/kernel/drivers/"{ata,block,cdrom,scsi,virtio} "./$modules/kernel/fs/"{ext4,isofs,jbd2,mbcache.ko}
busybox depmod -b "$tree" "$version"

# --- initramfs: busybox, the modules for the usual disks and what they lean on --------------------------------
ram=$work/initramfs
mkdir -p "$ram"/{bin,proc,sys,dev,data,"$modules"}
cp "$(command -v busybox)" "$ram/bin/busybox"
for name in cat cut findfs ls mount modprobe poweroff sh sha256sum sleep; do ln -s busybox "$ram/bin/$name"; done
for module in virtio_pci virtio_blk virtio_scsi ata_piix ahci sd_mod sr_mod ext4 isofs crc32c_generic; do
  needed=$(grep -E "(^|/)${module//_/[-_]}\.ko:" "$tree/$modules/modules.dep") || {
    echo "make-guest-image.sh: $package has no module $module" >&2
    exit 1
  }
  for file in ${needed/:/}; do install -D -m 644 "$tree/$modules/$file" "$ram/$modules/$file"; done
done
busybox depmod -b "$ram" "$version"
for file in "$ram/$modules"/modules.*; do sort -o "$file" "$file"; done # they are in the order of readdir(3)

cat >"$ram/init" <<'GUEST'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
finish() { echo "INGOT-GUEST $1"; poweroff -f; }
for module in crc32c_generic sd_mod sr_mod ext4 isofs; do modprobe -q $module; done
for bus in pci virtio; do
  for alias in /sys/bus/$bus/devices/*/modalias; do [ -e "$alias" ] && modprobe -q "$(cat "$alias")"; done
done
tries=0
until disk=$(findfs LABEL=INGOT-GUEST 2>/dev/null); do
  tries=$((tries + 1))
  [ $tries -le 100 ] || finish "failed: no disk with the data was found"
  sleep 0.1
done
mount -o ro "$disk" /data || finish "failed: $disk can not be mounted"
cd /data && sha256sum -c -s payload.sha256 || finish "failed: the payload on $disk is not what it was"
finish "ready disk=$disk payload=ok"
GUEST
chmod 755 "$ram/init"
date_files "$ram"
(cd "$ram" && find . -print0 | sort -z | cpio --null -o -H newc --owner=0:0 --reproducible --quiet) | gzip -9n >"$work/initrd.img"
cp "$tree"/boot/vmlinuz-* "$work/vmlinuz"

# --- data: bytes that don't compress but are the same every time ----------------------------------------------
data=$work/data
mkdir "$data"
openssl enc -aes-128-ctr -K "$(printf '%032d' 1)" -iv "$(printf '%032d' 0)" </dev/zero 2>/dev/null | head -c ${payload_mib}M >"$data/payload" || true
(cd "$data" && sha256sum payload >payload.sha256)
date_files "$data"

boot_config() { # directory of kernel and initramfs
  cat <<CONFIG
SERIAL 0 115200
DEFAULT guest
LABEL guest
  LINUX $1/vmlinuz
  INITRD $1/initrd.img
  APPEND console=ttyS0,115200 quiet panic=-1 mitigations=off
CONFIG
}

# --- disk: MBR, FAT with the boot loader, ext4 with the data ---------------------------------------------------
boot_config "" >"$work/syslinux.cfg"
date_files "$work"
start=2048 # sectors: 1 MiB
truncate -s ${boot_mib}M "$work/boot.fat"
mkfs.vfat -F 16 -n BOOT -i 1260a0b1 -h $start --invariant "$work/boot.fat" >/dev/null
mcopy -m -i "$work/boot.fat" "$work/vmlinuz" "$work/initrd.img" "$work/syslinux.cfg" ::/
syslinux --install "$work/boot.fat"

truncate -s ${root_mib}M "$work/root.ext4"
mke2fs -q -F -t ext4 -O ^has_journal,^metadata_csum -m 0 -N 64 -L $label -U 1260a0b1-0000-4000-8000-000000000001 \
  -E root_owner=0:0,lazy_itable_init=0,hash_seed=1260a0b1-0000-4000-8000-000000000002 -d "$data" "$work/root.ext4"
# mke2fs copies each file's owner and time of change, which are those of this machine and moment.
for file in payload payload.sha256; do
  printf 'set_inode_field /%s %s\n' $file "ctime @$SOURCE_DATE_EPOCH" $file "uid 0" $file "gid 0"
done >"$work/inodes"
debugfs -w -f "$work/inodes" "$work/root.ext4" >/dev/null 2>&1

raw=$work/ingot-guest.raw
truncate -s $((1 + boot_mib + root_mib + 1))M "$raw"
sfdisk -q "$raw" <<TABLE
label: dos
label-id: 0x1260a0b1
start=$start, size=${boot_mib}MiB, type=e, bootable
start=$((start + boot_mib * 2048)), size=${root_mib}MiB, type=83
TABLE
dd if=/usr/lib/syslinux/mbr/mbr.bin of="$raw" bs=440 count=1 conv=notrunc status=none
dd if="$work/boot.fat" of="$raw" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$work/root.ext4" of="$raw" bs=1M seek=$((1 + boot_mib)) conv=notrunc,sparse status=none
qemu-img convert -f raw -O qcow2 "$raw" "$work/ingot-guest.qcow2"

# --- ISO --------------------------------------------------------------------------------------------------------
mkdir "$data/isolinux" # where isolinux looks for its files
cp "$work/vmlinuz" "$work/initrd.img" /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$data/isolinux/"
boot_config /isolinux >"$data/isolinux/isolinux.cfg"
date_files "$data"
xorriso -as mkisofs -quiet -V $label -J -R -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 \
  -boot-info-table -isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin -o "$work/ingot-guest.iso" "$data" 2>/dev/null

mv "$work"/ingot-guest.{raw,qcow2,iso} "$out/"
echo "$recipe" >"$out/.recipe"
