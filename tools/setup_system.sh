#!/bin/sh
# What the project needs from the system: Python >= 3.11 with venv, mosquitto (the MQTT broker that regions run),
# nft (the egress list), ip (the network namespaces that tests and the demo run regions and vehicles in), SoftHSM2 (a
# PKCS #11 token in software, for the tests of keys in a token), and libfuse3 with fusermount3 (the disk whose power tests
# cut).
# Arguments behind the first name more packages: other brokers, for `make interop` (Debian starts what it installs as a
# service; `systemctl disable --now` ends that, the tests run their own).
# Installs from Debian's packages where it may; otherwise says plainly what to do.
set -eu
python=${1:-python3}
[ $# -eq 0 ] || shift

missing=""
command -v mosquitto >/dev/null 2>&1 || [ -x /usr/sbin/mosquitto ] || missing="$missing mosquitto"
command -v nft >/dev/null 2>&1 || [ -x /usr/sbin/nft ] || missing="$missing nftables"
[ -e /usr/lib/softhsm/libsofthsm2.so ] && command -v softhsm2-util >/dev/null 2>&1 || missing="$missing softhsm2"
command -v fusermount3 >/dev/null 2>&1 || missing="$missing fuse3"
command -v ip >/dev/null 2>&1 || [ -x /usr/sbin/ip ] || [ -x /sbin/ip ] || missing="$missing iproute2"
for package in "$@"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
if ! command -v "$python" >/dev/null 2>&1; then
    missing="$missing python3 python3-venv"
elif ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    missing="$missing python3-venv"
fi

if [ -n "$missing" ]; then
    run=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 && run="sudo"
    fi
    if ! command -v apt-get >/dev/null 2>&1 || { [ "$(id -u)" -ne 0 ] && [ -z "$run" ]; }; then
        echo "setup: these Debian packages are missing and can't be installed from here:$missing" >&2
        echo "setup: install them (as root: apt-get install$missing), then run make again." >&2
        exit 1
    fi
    echo "setup: installing$missing from Debian's packages"
    if ! { $run apt-get update -qq && $run env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $missing >/dev/null; }; then
        echo "setup: apt-get could not install$missing; install them by hand, then run make again." >&2
        exit 1
    fi
fi

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup: Python 3.11 or newer is needed; $("$python" --version 2>&1) found. Try: make PYTHON=python3.11 ..." >&2
    exit 1
fi
