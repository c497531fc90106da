#!/usr/bin/env bash
# Makes a small guest that really boots, from Debian 12 packages alone, in these forms:
#
#   ingot-guest.raw            disk with an MBR: a FAT partition that boots, an ext4 partition with the guest's data
#   ingot-guest.qcow2          the same disk
#   ingot-guest.iso            the same guest as a hybrid ISO
#   ingot-guest-stays.qcow2    one that stays up
#   ingot-guest-legacy.qcow2   one without virtio drivers
#
#   make-guest-image.sh DIRECTORY
#
# The guest is a Debian kernel with busybox. It looks for its data on whatever disk it was given, checks the
# digest of a payload there, prints on the first serial port which drivers serve it, and one line more, and powers off:
#
#   INGOT-GUEST devices disks=vda:virtio_blk nics=eth0:virtio_net
#   INGOT-GUEST ready disk=/dev/vda2 payload=ok        or       INGOT-GUEST failed: why
#
# The one that stays up adds a line to the file ticks beside its data each second, flushed, and says INGOT-TICK and its
# number; INGOT-DISKS when its disks change; shows a log-in prompt, powers off on the ACPI button, and answers as QEMU's guest
# agent does when it is asked to freeze and thaw.
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
  "./$modules/kernel/block" "./$modules/kernel/net/core" "./$modules/kernel/drivers/"{acpi,ata,block,cdrom,char,input,net,scsi,virtio} "./$modules/kernel/fs/"{ext4,isofs,jbd2,mbcache.ko}
busybox depmod -b "$tree" "$version"

# --- initramfs: busybox, the modules for the usual devices and what they lean on ------------------------------
make_initramfs() { # file, modules
  local ram=$work/initramfs-$1 module needed file
  mkdir -p "$ram"/{bin,proc,sys,dev,data,etc/acpi/PWRF,"$modules"}
  cp "$(command -v busybox)" "$ram/bin/busybox"
  for name in acpid cat cut findfs fsfreeze ls modprobe mount poweroff readlink sed sh sha256sum sleep sync; do ln -s busybox "$ram/bin/$name"; done
  for module in $2; do
    needed=$(grep -E "(^|/)${module//_/[-_]}\.ko:" "$tree/$modules/modules.dep") || {
      echo "make-guest-image.sh: $package has no module $module" >&2
      exit 1
    }
    for file in ${needed/:/}; do install -D -m 644 "$tree/$modules/$file" "$ram/$modules/$file"; done
  done
  busybox depmod -b "$ram" "$version"
  for file in "$ram/$modules"/modules.*; do sort -o "$file" "$file"; done # they are in the order of readdir(3)
  cp "$work/init" "$ram/init"
  printf '#!/bin/sh\necho 1 >/stop\n' >"$ram/etc/acpi/PWRF/00000080"
  chmod 755 "$ram/init" "$ram/etc/acpi/PWRF/00000080"
  date_files "$ram"
  (cd "$ram" && find . -print0 | sort -z | cpio --null -o -H newc --owner=0:0 --reproducible --quiet) | gzip -9n >"$work/$1"
}

cat >"$work/init" <<'GUEST'
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
driver_of() { # of the device or the nearest one above it that has one of a bus
  at=$(readlink -f "$1")
  while [ -n "$at" ] && [ "$at" != /sys ]; do
    bus=$(readlink -f "$at/subsystem" 2>/dev/null)
    case ${bus##*/} in pci|virtio) [ -e "$at/driver" ] && { driver=$(readlink -f "$at/driver"); echo "${driver##*/}"; return; };; esac
    at=${at%/*}
  done
  echo none
}
disks= nics=
for block in /sys/block/vd* /sys/block/sd* /sys/block/sr*; do [ -e "$block" ] && disks=$disks,${block##*/}:$(driver_of $block/device); done
for nic in /sys/class/net/*; do [ -e "$nic/device" ] && nics=$nics,${nic##*/}:$(driver_of $nic/device); done
echo "INGOT-GUEST devices disks=${disks#,} nics=${nics#,}"
read -r line </proc/cmdline
case " $line " in *" ingot.stay "*) mode=rw ;; *) mode=ro ;; esac
mount -o $mode "$disk" /data || finish "failed: $disk can not be mounted"
cd /data && sha256sum -c -s payload.sha256 || finish "failed: the payload on $disk is not what it was"
[ $mode = rw ] || finish "ready disk=$disk payload=ok"

# --- the one that stays up
echo "INGOT-GUEST ready disk=$disk payload=ok"
modprobe -q button; modprobe -q evdev
acpid -f -l /dev/null >/dev/null 2>&1 &
agent() { # QEMU's guest agent, as far as freezing goes
  exec 3<>"$1"
  while :; do
    read -r line <&3 || { sleep 0.2; continue; } # nobody is connected
    case $line in
    *guest-sync*) echo "{\"return\": $(echo "$line" | sed 's/.*"id"[: ]*\([0-9]*\).*/\1/')}" >&3 ;;
    *guest-fsfreeze-freeze*) sync; fsfreeze --freeze /data && echo INGOT-FROZEN && echo '{"return": 1}' >&3 ;;
    *guest-fsfreeze-thaw*) fsfreeze --unfreeze /data && echo INGOT-THAWED; echo '{"return": 1}' >&3 ;;
    *) echo '{"error": {"class": "CommandNotFound", "desc": "unknown"}}' >&3 ;;
    esac
  done
}
for port in /dev/vport*; do [ -e "$port" ] && agent "$port" & done
tick=$([ -e ticks ] && sed -n '$s/^tick //p' ticks)
tick=${tick:-0}
echo "INGOT-GUEST login: "
seen=
until [ -e /stop ]; do
  tick=$((tick + 1))
  echo "tick $tick" >>ticks
  sync
  echo "INGOT-TICK $tick"
  now=
  for block in /sys/block/vd* /sys/block/sd* /sys/block/sr*; do [ -e "$block" ] && now=$now,${block##*/}; done
  [ "$now" = "$seen" ] || echo "INGOT-DISKS ${now#,}"
  seen=$now
  sleep 1
done
echo "INGOT-GUEST stops after tick $tick"
cd /; mount -o remount,ro /data; poweroff -f
GUEST
base="ata_piix ahci sd_mod sr_mod ext4 isofs crc32c_generic e1000 button evdev"
make_initramfs initrd.img "$base virtio_pci virtio_blk virtio_scsi virtio_net virtio_console"
make_initramfs legacy.img "$base"
cp "$tree"/boot/vmlinuz-* "$work/vmlinuz"

# --- data: bytes that don't compress but are the same every time ----------------------------------------------
data=$work/data
mkdir "$data"
openssl enc -aes-128-ctr -K "$(printf '%032d' 1)" -iv "$(printf '%032d' 0)" </dev/zero 2>/dev/null | head -c ${payload_mib}M >"$data/payload" || true
(cd "$data" && sha256sum payload >payload.sha256)
date_files "$data"

boot_config() { # directory of kernel and initramfs, initramfs, more for the kernel
  cat <<CONFIG
SERIAL 0 115200
DEFAULT guest
LABEL guest
  LINUX $1/vmlinuz
  INITRD $1/$2
  APPEND console=ttyS0,115200 quiet panic=-1 mitigations=off${3:+ $3}
CONFIG
}

# --- disks: MBR, FAT with the boot loader, ext4 with the data --------------------------------------------------
start=2048 # sectors: 1 MiB
make_disk() { # file, initramfs, more for the kernel, whether ext4 has a journal
  local raw=$work/$1 fat=$work/boot.fat ext4=$work/root.ext4 file
  boot_config "" "$2" "$3" >"$work/syslinux.cfg"
  touch -h -d "@$SOURCE_DATE_EPOCH" "$work"/*
  rm -f "$fat" "$ext4"
  truncate -s ${boot_mib}M "$fat"
  mkfs.vfat -F 16 -n BOOT -i 1260a0b1 -h $start --invariant "$fat" >/dev/null
  mcopy -m -i "$fat" "$work/vmlinuz" "$work/$2" "$work/syslinux.cfg" ::/
  syslinux --install "$fat"

  truncate -s ${root_mib}M "$ext4"
  mke2fs -q -F -t ext4 -O "$4has_journal,^metadata_csum" -m 0 -N 64 -L $label -U 1260a0b1-0000-4000-8000-000000000001 \
    -E root_owner=0:0,lazy_itable_init=0,hash_seed=1260a0b1-0000-4000-8000-000000000002 -d "$data" "$ext4"
  # mke2fs copies each file's owner and time of change, which are those of this machine and moment.
  for file in payload payload.sha256; do
    printf 'set_inode_field /%s %s\n' $file "ctime @$SOURCE_DATE_EPOCH" $file "uid 0" $file "gid 0"
  done >"$work/inodes"
  debugfs -w -f "$work/inodes" "$ext4" >/dev/null 2>&1

  truncate -s $((1 + boot_mib + root_mib + 1))M "$raw"
  sfdisk -q "$raw" <<TABLE
label: dos
label-id: 0x1260a0b1
start=$start, size=${boot_mib}MiB, type=e, bootable
start=$((start + boot_mib * 2048)), size=${root_mib}MiB, type=83
TABLE
  dd if=/usr/lib/syslinux/mbr/mbr.bin of="$raw" bs=440 count=1 conv=notrunc status=none
  dd if="$fat" of="$raw" bs=1M seek=1 conv=notrunc,sparse status=none
  dd if="$ext4" of="$raw" bs=1M seek=$((1 + boot_mib)) conv=notrunc,sparse status=none
  qemu-img convert -f raw -O qcow2 "$raw" "${raw%.raw}.qcow2"
}
make_disk ingot-guest-stays.raw initrd.img ingot.stay ""
make_disk ingot-guest-legacy.raw legacy.img "" "^"
make_disk ingot-guest.raw initrd.img "" "^"

# --- ISO --------------------------------------------------------------------------------------------------------
mkdir "$data/isolinux" # where isolinux looks for its files
cp "$work/vmlinuz" "$work/initrd.img" /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$data/isolinux/"
boot_config /isolinux initrd.img >"$data/isolinux/isolinux.cfg"
date_files "$data"
xorriso -as mkisofs -quiet -V $label -J -R -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 \
  -boot-info-table -isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin -o "$work/ingot-guest.iso" "$data" 2>/dev/null

mv "$work"/ingot-guest.{raw,qcow2,iso} "$work"/ingot-guest-{stays,legacy}.qcow2 "$out/"
echo "$recipe" >"$out/.recipe"
