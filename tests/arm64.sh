#!/usr/bin/env bash
# Fetches what runs the arm64 builds of the codec and the layers on another machine, into build/arm64: Debian's Python and libraries for
# arm64, and QEMU's emulator if there is none. It takes apt-get with Debian's archive, no root, and changes no system.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo "arm64: there is no apt-get here"; exit 3; }
here="$PWD/build/arm64"
python=python3.11
arm=("$python-minimal" "lib$python-minimal" "lib$python-stdlib" libc6 libcrypt1 zlib1g libexpat1 libffi8 libssl3
	libstdc++6 libgcc-s1) # the last two are for the wheels in the layers
if [[ -x "$here/root/usr/bin/$python" && -n "$(find "$here/root" -name 'libstdc++.so.6' -print -quit)" && ( -x "$here/qemu" || -n "$(command -v qemu-aarch64-static)" ) ]]; then
	exit 0
fi

# A set of lists and a cache for one architecture, beside the system's own.
lists() {
	local folder="$here/$1"
	mkdir -p "$folder"/{lists/partial,cache/archives/partial,packages}
	: >"$folder/status"
	printf '%s\n' "APT::Architecture \"$1\"; APT::Architectures \"$1\"; Dir::State \"$folder\";" \
		"Dir::State::status \"$folder/status\"; Dir::Cache \"$folder/cache\"; Debug::NoLocking \"true\";" \
		'APT::Sandbox::User ""; Acquire::Retries "0"; Acquire::http::Timeout "20";' >"$folder/apt.conf"
	APT_CONFIG="$folder/apt.conf" apt-get --quiet=2 update
}
fetch() {
	local folder="$here/$1" to="$2" package
	shift 2
	(cd "$folder/packages" && APT_CONFIG="$folder/apt.conf" apt-get --quiet=2 download "$@")
	for package in "$folder"/packages/*.deb; do dpkg-deb --extract "$package" "$to"; done
	rm -r "$folder"
}

rm -rf "$here"
lists arm64
fetch arm64 "$here/new" "${arm[@]}"
if [[ -z "$(command -v qemu-aarch64-static)" ]]; then
	native="$(dpkg --print-architecture)"
	lists "$native"
	fetch "$native" "$here/emulator" qemu-user-static
	mv "$here/emulator/usr/bin/qemu-aarch64-static" "$here/qemu"
	rm -r "$here/emulator"
fi
mv "$here/new" "$here/root"
