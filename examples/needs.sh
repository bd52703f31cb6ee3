# What building, trying and testing needs of the machine; read by other scripts (`source`).
# Installs what is missing with apt and says so; without the right to install, says what to do.

say() { printf '\n==> %s\n' "$*"; }

fail() {
    printf '\nerror: %s\n' "$1" >&2
    shift
    if (($#)); then printf '       %s\n' "$@" >&2; fi
    exit 1
}

has_cargo() {
    command -v cargo >/dev/null && return
    # Fresh from rustup, in a shell that was opened before.
    [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]] && PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
}

has_node() {
    local major
    major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) && ((major >= 18))
}

# Rust needs a linker, and the C library's files to link against.
has_linker() { echo 'int main(void) { return 0; }' | cc -x c - -o /dev/null 2>/dev/null; }

# as_root COMMAND…: as root, if that is possible without asking where nobody could answer.
may_be_root() { ((EUID == 0)) || { command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; }; }
as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

install_packages() {
    command -v apt-get >/dev/null ||
        fail "missing: $* (Debian's names), and there is no apt-get here." "Install them and run this again."
    may_be_root ||
        fail "missing: $*, and installing needs root." \
            "Run this, then try again:" "    sudo apt-get update && sudo apt-get install -y $*"
    say "installing with apt: $*"
    as_root apt-get update -qq ||
        fail "apt-get update failed (see above)." "Install these, then try again: $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" ||
        fail "apt-get install $* failed (see above)." "Install these by hand, then try again."
}

# Everything: a Rust toolchain, a linker, Node 18 or newer (for the example backend).
need_all() {
    local missing=()
    has_cargo || fail "cargo was not found." "Install Rust from https://rustup.rs and run this again."
    has_linker || missing+=(gcc libc6-dev)
    has_node || missing+=(nodejs)
    if ((${#missing[@]})); then install_packages "${missing[@]}"; fi
    has_linker || fail "cc still cannot link a program." "Try it: echo 'int main(void){return 0;}' | cc -x c - -o /tmp/a"
    has_node ||
        fail "Node 18 or newer is needed; what is installed is $(node --version 2>/dev/null || echo 'not found')." \
            "This release's own package is too old: see https://nodejs.org/en/download."
}

# What the tests need besides: small filesystems of their own, something to be compared with, and
# machines of their own, with systemd and with another kernel.
need_for_tests() {
    local missing=()
    has_program mkfs.ext4 || missing+=(e2fsprogs)
    has_program fsfreeze || missing+=(util-linux)
    has_program losetup || missing+=(mount)
    has_program systemd-analyze || missing+=(systemd)
    has_program man || missing+=(man-db)
    has_program zsh || missing+=(zsh)
    has_program fish || missing+=(fish)
    has_program rg || missing+=(ripgrep)
    has_program systemd-nspawn || missing+=(systemd-container)
    has_program debootstrap || missing+=(debootstrap)
    has_program qemu-system-x86_64 || missing+=(qemu-system-x86)
    has_program cpio || missing+=(cpio)
    if ((${#missing[@]})); then install_packages "${missing[@]}"; fi
    tests/machines/make.sh
}

# Also where only root looks for programs.
has_program() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null; }

# Where cargo puts what it builds, CARGO_TARGET_DIR and cargo's config files included.
target_folder() {
    cargo metadata --no-deps --locked --format-version 1 |
        node -p 'JSON.parse(require("fs").readFileSync(0, "utf8")).target_directory'
}
