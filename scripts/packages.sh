# SPDX-License-Identifier: BSD-3-Clause
# Debian packages for the scripts that source this. They set `me`, the name that messages begin with, and
# may set `failure`, the exit status of a failure.
# shellcheck shell=bash disable=SC2154

fail()
{
    printf "$me: %s\n" "$@" >&2
    exit "${failure:-1}"
}

# Runs a command in silence; what it said is shown only when it fails.
quietly()
{
    local said status=0
    said=$("$@" 2>&1) || status=$?
    [ "$status" = 0 ] || printf '%s\n' "$said" >&2
    return "$status"
}

is_debian()
{
    [ -r /etc/debian_version ] && command -v dpkg-query >/dev/null && command -v apt-get >/dev/null
}

# What dpkg calls "install ok installed" is there; everything else is missing.
missing_packages()
{
    local name
    for name in "$@"; do
        case $(dpkg-query -W -f '${Status}\n' "$name" 2>/dev/null) in
        *"ok installed"*) ;;
        *) printf '%s\n' "$name" ;;
        esac
    done
}

# Installs those of the named packages that are missing.
install_packages()
{
    local missing run=()
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "these packages are missing and there is no sudo; as root:" \
            "  apt-get install ${missing[*]}"
        run=(sudo)
    fi
    printf '%s: installing %s\n' "$me" "${missing[*]}"
    run+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
    quietly "${run[@]}" update || printf '%s: the package lists could not be renewed\n' "$me" >&2
    quietly "${run[@]}" install --yes --no-install-recommends "${missing[@]}" ||
        fail "apt-get could not install what is missing; when it can, as root:" \
            "  apt-get install ${missing[*]}"
}
