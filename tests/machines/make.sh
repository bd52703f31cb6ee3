#!/usr/bin/env bash
# The two machines that tests start: a root filesystem with systemd in it, and another kernel.
# Made once from the archive that apt uses here, outside of the clone, and used again as long as
# they are what is asked for. Says nothing where there is nothing to do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source examples/needs.sh

cache=${XDG_CACHE_HOME:-$HOME/.cache}/supervisor-tests

# Its packages come from the release that runs here: the programs under test are linked to its
# C library. sudo, because README.md's commands are typed as they stand there.
packages=systemd,systemd-sysv,dbus,procps,iproute2,sudo
name=supervisor-tests
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
arch=$(dpkg --print-architecture 2>/dev/null || true)

# The first that the archive has: Debian's is 6.1, which does not tell the exits of non-children.
kernels=(linux-image-cloud-amd64 linux-image-virtual)

# made WHAT RECIPE: whether it is there, whole (it gets its name last) and of this recipe.
made() { [[ -f $cache/$1/made && $(<"$cache/$1/made") == "$2" ]]; }

# make WHAT RECIPE: calls make_WHAT with the folder to fill, and gives that its name at the end.
make() {
    local new=$cache/$1.new
    as_root rm -rf "$new"
    mkdir "$new"
    "make_$1" "$new"
    printf '%s\n' "$2" | as_root tee "$new/made" >/dev/null
    as_root rm -rf "${cache:?}/$1"
    as_root mv "$new" "$cache/$1"
}

# Where apt gets this release from.
mirror() {
    apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
        awk -v release="$release" '$2 == release { print $1; exit }'
}

make_root() {
    local tree=$1 from proxy=
    from=$(mirror)
    [[ $from ]] || fail "apt has no source for the release \"$release\", from which the tests make a machine."
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    say "making a root filesystem for tests: $release with systemd, once ($cache/root)"
    as_root env ${proxy:+http_proxy="$proxy"} debootstrap --variant=minbase --include="$packages" \
        "$release" "$tree" "$from" >"$cache/root.log" 2>&1 ||
        fail "debootstrap failed: $(tail -n 3 "$cache/root.log")" "All of it: $cache/root.log"
    as_root rm -rf "$tree"/var/cache/apt/archives "$tree"/var/lib/apt/lists
    # debootstrap gives it this machine's name; sudo wants to know a name's address.
    echo "$name" | as_root tee "$tree/etc/hostname" >/dev/null
    echo "127.0.0.1 localhost $name" | as_root tee "$tree/etc/hosts" >/dev/null
    as_root chmod 755 "$tree"
    copy_program "$(command -v node)" "$tree"
}

# copy_program PROGRAM TREE: with those of its libraries that the tree has not.
copy_program() {
    local library
    as_root install -D "$(readlink -f "$1")" "$2/usr/local/bin/${1##*/}"
    for library in $(ldd "$(readlink -f "$1")" | grep -o '/[^ ]*'); do
        [[ -e $2$library ]] || as_root install -D -m 644 "$library" "$2$library"
    done
}

# The package that a kernel's package without a version stands for.
kernel_package() {
    local name
    for name in "${kernels[@]}"; do
        apt-cache depends "$name" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' |
            head -n 1 | grep . && return
    done
    fail "apt has none of these packages: ${kernels[*]}" "The tests take another kernel than this machine's from them."
}

make_kernel() {
    local folder=$1 package
    package=$(kernel_package)
    say "getting another kernel for tests: $package, once ($cache/kernel)"
    (
        cd "$folder"
        apt-get download -qq -o APT::Sandbox::User=root "$package" busybox-static ||
            fail "apt-get download $package busybox-static failed (see above)."
        mkdir tree
        for file in *.deb; do dpkg -x "$file" tree; done
        mv tree/boot/vmlinuz-* vmlinuz
        mv "$(find tree -path '*/bin/busybox')" busybox
        rm -rf tree ./*.deb
    )
}

main() {
    local root_recipe kernel_recipe
    root_recipe="$release $arch $packages $name node $(node --version)"
    kernel_recipe="$release $arch ${kernels[*]} busybox"
    mkdir -p "$cache"
    # Two that come at the same time: the second one finds what the first has made.
    exec 9>"$cache/lock"
    flock 9
    made root "$root_recipe" && made kernel "$kernel_recipe" && return
    as_root apt-get update -qq || fail "apt-get update failed (see above)."
    made root "$root_recipe" || make root "$root_recipe"
    made kernel "$kernel_recipe" || make kernel "$kernel_recipe"
}

main
