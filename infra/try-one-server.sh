#!/usr/bin/env bash
# Tries docs/how-to/one-server.md word for word: a fresh Debian 12 in namespaces of its own, with systemd, users, ports and network of its own,
# in which the page's marked commands are run, to a map that is ordered through the proxy and ordered again after a restore.
#
#   sudo bash infra/try-one-server.sh FOLDER [--share PATH]... [--keep]
#
# FOLDER    is made, or taken where an earlier try left a Debian in it; must be on a disk that overlayfs can write to
# --share   a file or folder of this machine that the new one sees at the same path, such as a pip.conf and the folder that it names
# --keep    the machine goes on after the page; it prints how to enter it, and ends with this script
#
# What it can't show: a certificate of an authority, real products, GPUs, other machines, a restart of the whole machine.
# Debian's packages on this machine: mmdebstrap, slirp4netns, util-linux. Nothing else of this machine is used or changed.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
}

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

# ---- what is asked ----

[ $# -ge 1 ] || usage
mkdir -p "$1"
folder=$(cd "$1" && pwd -P)
shift
shared=() keep=''
while [ $# -gt 0 ]; do
    case $1 in
        --share) if [ $# -lt 2 ] || ! [ -e "$2" ]; then usage; fi; shared+=("$(readlink -f "$2")"); shift 2 ;;
        --keep) keep=yes; shift ;;
        *) usage ;;
    esac
done
[ "$(id -u)" = 0 ] || fail 'this makes namespaces and mounts: run it as root.'
for program in mmdebstrap slirp4netns unshare nsenter; do
    command -v $program >/dev/null || fail "$program is missing. On Debian: apt-get install -y mmdebstrap slirp4netns util-linux"
done
page=docs/how-to/one-server.md
base=$folder/debian

# ---- a Debian, once; what a try changes lies in a folder beside it ----

if ! [ -x "$base/lib/systemd/systemd" ]; then
    rm -rf "$base"
    mmdebstrap --variant=minbase --include=systemd-sysv,dbus,sudo,ca-certificates,adduser,iproute2,curl,python3 bookworm "$base"
fi
rm -rf "$folder/changes" "$folder/work"
mkdir -p "$folder/changes" "$folder/work" "$folder/machine" "$folder/packages/partial" "$folder/wheels"

boot() { # in new namespaces, as their first process
    local root=$folder/machine node path
    mount --make-rprivate /
    mount -t overlay overlay -o "lowerdir=$base,upperdir=$folder/changes,workdir=$folder/work" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t tmpfs tmpfs "$root/run" -o mode=755
    mount -t tmpfs tmpfs "$root/dev" -o mode=755
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts devpts "$root/dev/pts" -o newinstance,ptmxmode=0666
    mount -t tmpfs tmpfs "$root/dev/shm" -o mode=1777
    for node in null zero full random urandom tty; do
        touch "$root/dev/$node"
        mount --bind "/dev/$node" "$root/dev/$node"
    done
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    for node in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${node%:*}" "$root/dev/${node#*:}"; done
    mount -t tmpfs tmpfs "$root/sys/fs/cgroup" -o mode=755
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
        mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    else # both generations beside each other: systemd keeps its own hierarchy of the first
        mkdir "$root/sys/fs/cgroup/unified" "$root/sys/fs/cgroup/systemd"
        mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
        mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
    fi
    mkdir -p "$root/var/cache/apt/archives" "$root/root/.cache/pip" # packages are loaded once for all tries
    mount --bind "$folder/packages" "$root/var/cache/apt/archives"
    mount --bind "$folder/wheels" "$root/root/.cache/pip"
    for path in "${shared[@]}"; do
        mkdir -p "$root$(dirname "$path")"
        if [ -d "$path" ]; then mkdir -p "$root$path"; else touch "$root$path"; fi
        mount --bind "$path" "$root$path"
    done
    ip link set lo up
    cd "$root"
    mkdir -p mnt/before
    pivot_root . mnt/before # not chroot: a process in one may make no namespace of users, as Redis's unit does
    umount --lazy /mnt/before
    exec /usr/bin/env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
}

# ---- the machine runs from here to the end of this script ----

machine='' network=''
end() {
    [ -z "$machine" ] || kill -9 "$machine" 2>/dev/null || true # with its first process all others go
    [ -z "$network" ] || kill "$network" 2>/dev/null || true
}
trap end EXIT

export -f boot
export folder base
shared_words=${shared[*]+$(printf "%q " "${shared[@]}")}
unshare --fork --pid --mount --uts --ipc --net --cgroup --kill-child \
    bash -c "set -euo pipefail; shared=($shared_words); boot" >"$folder/boot.log" 2>&1 &
starter=$!
for _ in $(seq 100); do
    machine=$(ps -o pid= --ppid "$starter" | tr -d ' ')
    [ -z "$machine" ] || [ "$(cat "/proc/$machine/comm" 2>/dev/null)" != systemd ] || break
    sleep 0.1
done
[ -n "$machine" ] && [ "$(cat "/proc/$machine/comm")" = systemd ] || fail "no machine was made: $(cat "$folder/boot.log")"

inside() { nsenter --target "$machine" --mount --uts --ipc --net --pid --cgroup --root --wd "$@"; }

for _ in $(seq 300); do
    state=$(inside systemctl is-system-running 2>/dev/null || true)
    case $state in running | degraded) break ;; esac
    sleep 0.2
done
[ "$state" = running ] || fail "systemd in the new machine is '$state'." "$(inside systemctl --failed --no-legend --plain || true)"

slirp4netns --configure --disable-host-loopback "$machine" tap0 >"$folder/network.log" 2>&1 &
network=$!
# What an installer of Debian sets up: names, a user who may use sudo.
inside bash -eu <<'END'
echo maps >/etc/hostname
hostname maps
printf '127.0.0.1 localhost\n127.0.1.1 maps maps.example.org\n' >/etc/hosts
printf 'nameserver 10.0.2.3\n' >/etc/resolv.conf
adduser --quiet --disabled-password --gecos '' admin
printf 'admin ALL=(ALL) NOPASSWD:ALL\n' >/etc/sudoers.d/admin
END
# Where this machine may not raise its limits, nor may what runs in it.
if [ "$(ulimit -Hn)" != unlimited ] && [ "$(ulimit -Hn)" -lt 65535 ]; then
    inside mkdir -p /etc/systemd/system/redis-server.service.d
    printf '[Service]\nLimitNOFILE=%s\n' "$(ulimit -Hn)" | inside tee /etc/systemd/system/redis-server.service.d/limit.conf >/dev/null
    inside systemctl daemon-reload
fi
git ls-files -z | tar --create --null --files-from - | inside tar --extract --one-top-level=/home/admin/cropline --no-same-owner
inside chown -R admin: /home/admin/cropline

# ---- the page ----

goes_on() {
    [ -n "$keep" ] || return 0
    echo "The machine goes on: nsenter --target $machine --all --root --wd. Enter ends it."
    read -r _
}

# Blocks that say where they are run: ```sh title="server". The others are variants, and not run.
rm -f "$folder"/step-*.sh
awk -v out="$folder/step" '
    /^```sh title="/ {
        file = sprintf("%s-%02d.sh", out, ++number)
        printf "" >file
        # What stands for the machine of a user is this one, too: there Prefect is where the server has it.
        if (/title="your machine"/) print "PATH=/opt/cropline/bin:$PATH" >>file
        next
    }
    /^```/ { file = "" }
    file { print >>file }
' "$page"

for step in "$folder"/step-*.sh; do
    printf '\n==== %s ====\n' "$(basename "$step" .sh)"
    cat "$step"
    printf -- '----\n'
    inside tee /home/admin/step.sh <"$step" >/dev/null
    inside runuser --login admin -- -euo pipefail step.sh || {
        inside journalctl --no-pager --lines 60 --unit 'cropline*' || true
        goes_on
        fail "the commands above failed, those of $page."
    }
done
printf '\nAll commands of %s did what they should.\n' "$page"

goes_on
