#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# scripts/guest-image.sh [DIR]: make DIR/kernel and DIR/initramfs (build/guest), a
# Debian cloud kernel with a busybox for a guest that boots in seconds. Neither is
# compressed: an emulated processor unpacks a third of its boot long. The kernel package
# is fetched once and kept; nothing is installed. See scripts/guest-init for what the
# guest does.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-build/guest}
cache=${WEIR_CACHE:-/var/cache/weir}
# In the order of their loading.
modules=(failover net_failover virtio_ring virtio virtio_pci_modern_dev
	virtio_pci_legacy_dev virtio_pci virtio_net)

die()
{
	echo "guest-image: $*" >&2
	exit 1
}

mkdir -p "$out"
exec 9>"$out/.lock"
flock -w 300 9 || die "another build of $out does not end"

stamp=$(cat "$0" scripts/guest-init | sha256sum)
if [ -s "$out/kernel" ] && [ -s "$out/initramfs" ] && [ "$stamp" = "$(cat "$out/stamp")" ]; then
	exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The newest kernel in the cache, or else the one the archive has now.
mkdir -p "$cache" 2>/dev/null && [ -w "$cache" ] || cache=$out
newest()
{
	find "$cache" -maxdepth 1 -name 'linux-image-*-cloud-amd64_*.deb' | sort -V | tail -n 1
}
deb=$(newest)
if [ -z "$deb" ]; then
	package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-.*-cloud-amd64\)$/\1/p')
	if [ -z "$package" ]; then
		apt-get -q update >"$work/log" 2>&1 || die "'apt-get update': $(tail -n 1 "$work/log")"
		package=$(apt-cache depends linux-image-cloud-amd64 |
			sed -n 's/^ *Depends: \(linux-image-.*-cloud-amd64\)$/\1/p')
	fi
	[ -n "$package" ] || die "apt knows no linux-image-cloud-amd64: is this Debian on amd64?"
	(cd "$work" && timeout 300 apt-get -q -o APT::Sandbox::User=root download "$package" \
		>log 2>&1) || die "'apt-get download $package': $(tail -n 1 "$work/log")"
	mv "$work"/linux-image-*.deb "$cache/"
	deb=$(newest)
fi

dpkg-deb -x "$deb" "$work/kernel" || die "$deb is damaged: remove it and try again"

root=$work/root
mkdir -p "$root"/{bin,dev,etc,lib/modules,lib64,proc,run,sys,tmp}
cp /bin/busybox "$root/bin/"
cp scripts/guest-init "$root/init"
chmod 755 "$root/init"
for module in "${modules[@]}"; do
	file=$(find "$work/kernel/lib/modules" -name "$module.ko*" | head -n 1)
	case $file in
	*.ko) cp "$file" "$root/lib/modules/$module.ko" ;;
	*.ko.xz) xz -dc "$file" >"$root/lib/modules/$module.ko" ;;
	*.ko.zst) zstd -qdc "$file" >"$root/lib/modules/$module.ko" ;;
	*) die "$deb has no module $module" ;;
	esac
	echo "$module" >>"$root/lib/modules/order"
done

# ethtool is linked dynamically: it comes with its libraries, where it looks for them.
ethtool=$(command -v ethtool || echo /usr/sbin/ethtool)
cp "$ethtool" "$root/bin/ethtool"
ldd "$ethtool" | grep -o '/[^ ]*' | while read -r library; do
	install -D "$library" "$root$library"
done

# The kernel's ELF file out of its boot image (Documentation/arch/x86/boot.rst, "payload_offset");
# the image itself where this fails, it boots as well.
unpack_kernel()
{
	local image=$1 setup offset length unpack
	setup=$(od -An -tu1 -j$((0x1f1)) -N1 "$image")
	offset=$(od -An -tu4 -j$((0x248)) -N4 "$image")
	length=$(od -An -tu4 -j$((0x24c)) -N4 "$image")
	dd if="$image" of="$work/payload" iflag=skip_bytes,count_bytes status=none \
		skip=$(((setup + 1) * 512 + offset)) count="$length" bs=1M
	for unpack in lz4 xz zstd gzip; do
		# What follows the payload's end is its length.
		"$unpack" -dc <"$work/payload" >"$out/kernel.new" 2>/dev/null || true
		[ "$(head -c 4 "$out/kernel.new")" != $'\x7fELF' ] || return 0
	done
	cp "$image" "$out/kernel.new"
}

(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc --quiet) >"$out/initramfs.new"
unpack_kernel "$work"/kernel/boot/vmlinuz-*
mv "$out/kernel.new" "$out/kernel"
mv "$out/initramfs.new" "$out/initramfs"
echo "$stamp" >"$out/stamp"
echo "guest-image: $out has $(basename "$deb" .deb)"
