fail() {
    code=$1
    shift
    printf 'error: %s\n' "$*" >&2
    exit "$code"
}

step() {
    printf 'join: %s\n' "$*" >&2
}

# Root is needed for the service. A script that came through a pipe cannot be started again.
become_root() {
    [ "$(id -u)" != 0 ] || return 0
    command -v sudo >/dev/null 2>&1 || fail 4 "this needs root, and there is no sudo"
    case $0 in
    */*) ;;
    *) fail 4 "this needs root: pipe it into 'sudo sh'" ;;
    esac
    sudo -n true </dev/null 2>/dev/null || [ -t 2 ] || fail 4 "this needs root, and sudo asks for a password"
    exec sudo sh "$0"
}

check_machine() {
    step "checking the machine"
    machine=$(uname -m)
    case $machine in
    x86_64 | amd64) arch=amd64 ;;
    aarch64 | arm64) arch=arm64 ;;
    armv7* | armv8l | arm) arch=arm ;;
    *) fail 6 "k0s is not built for machines of type $machine" ;;
    esac
    for service in k0sworker k0scontroller; do
        for file in "$root/etc/systemd/system/$service.service" "$root/etc/init.d/$service"; do
            [ ! -e "$file" ] || joined "$file"
        done
    done
    for file in kubelet.conf kubelet; do
        [ ! -e "$root/var/lib/k0s/$file" ] || joined "$root/var/lib/k0s/$file"
    done
}

joined() {
    fail 3 "this machine is joined already ($1 is there); take it out with: k0s stop; k0s reset"
}

# The value of a field in the kubeconfig that a token is, where each is on a line of its own.
field() {
    printf '%s\n' "$config" | tr -d "\"'" | sed -n "/^[ -]*$1: */{s///p;q;}"
}

# Asks the cluster about the token before anything is changed: k0s would go on trying a wrong one.
# Only curl takes a secret from where no list of processes shows it.
check_token() {
    [ "$role" = worker ] || return 0
    for program in base64 gunzip curl; do
        command -v "$program" >/dev/null 2>&1 || {
            step "there is no $program to try the token with"
            return 0
        }
    done
    config=$(printf '%s' "$token" | base64 -d 2>/dev/null | gunzip -c 2>/dev/null) || :
    server=$(field server) secret=$(field token) ca=$(field certificate-authority-data)
    [ -n "$server" ] && [ -n "$secret" ] && [ -n "$ca" ] ||
        fail 7 "the join token is not whole; create a new one"
    step "trying the token at $server"
    authority=$(mktemp)
    printf '%s' "$ca" | base64 -d >"$authority" 2>/dev/null || :
    if answer=$(printf 'header = "Authorization: Bearer %s"\n' "$secret" |
        curl -gsS -K - --cacert "$authority" --connect-timeout 5 --max-time 30 --retry 2 --retry-connrefused \
            -o /dev/null -w '%{http_code}' -- "$server/api" 2>&1); then
        case $answer in
        *401) fail 7 "the cluster does not take the join token: it has expired or was revoked; create a new one" ;;
        esac
        return 0
    fi
    reason=$(printf '%s\n' "$answer" | sed -n 's/^curl: //p' | tail -n 1)
    [ -n "$unattended" ] ||
        fail 8 "this machine does not reach the cluster's API at $server: ${reason:-$answer}"
    step "the cluster's API at $server does not answer yet (${reason:-$answer}); k0s goes on trying"
}

version_of() {
    "$1" version 2>/dev/null </dev/null | head -n 1
}

# Sets $k0s to a program of the wanted version.
get_k0s() {
    k0s=$(command -v k0s || :)
    if [ -n "$k0s" ] && { [ -z "$version" ] || [ "$(version_of "$k0s")" = "$version" ]; }; then
        step "k0s ${version:-of some version} is there already"
        return 0
    fi
    bin=
    for dir in "$root/usr/local/bin" "$root/opt/bin"; do
        if mkdir -p "$dir" 2>/dev/null && [ -w "$dir" ]; then
            bin=$dir
            break
        fi
    done
    [ -n "$bin" ] || fail 1 "neither /usr/local/bin nor /opt/bin can be written to"
    fresh=$(mktemp "$bin/.k0s.XXXXXX")
    if [ "$binary" = - ]; then
        step "receiving k0s"
        cat >"$fresh"
        [ -z "${size:-}" ] || [ "$(wc -c <"$fresh")" -eq "$size" ] ||
            fail 5 "k0s did not arrive whole"
    elif [ -n "$binary" ]; then
        step "copying k0s from $binary"
        cat <"$binary" >"$fresh" || fail 5 "$binary cannot be read"
    else
        download
    fi
    check_sum
    chmod 755 "$fresh"
    got=$(version_of "$fresh") || :
    [ -n "$got" ] || fail 5 "what came as k0s does not run on this machine ($machine)"
    [ -z "$version" ] || [ "$got" = "$version" ] ||
        fail 5 "what came is k0s $got, and not the cluster's $version"
    k0s=$bin/k0s
    if [ -e "$k0s" ]; then
        before=$(mktemp "$bin/.k0s.XXXXXX")
        mv -f "$k0s" "$before"
    fi
    placed=$k0s
    mv -f "$fresh" "$k0s"
    fresh=
}

# Puts the version and the architecture into the places that the address has for them.
address() {
    printf '%s\n' "$download_url" | sed -e "s/{version}/$version/g" -e "s/{arch}/$arch/g"
}

# Asks for nothing that anybody could send: the release's own list has the sum, where it is known who
# answers, and whoever names another address names the sum as well.
download() {
    url=$(address)
    if [ -z "$sha256" ]; then
        sums=${url%/*}/sha256sums.txt
        step "reading $sums"
        command -v curl >/dev/null 2>&1 || is_gnu_wget ||
            fail 5 "without curl or GNU wget nobody can tell here who sends k0s: name its sum with --k0s-sha256"
        fetch "$sums"
        sha256=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]${url##*/}\$/\1/p" "$fresh")
        [ -n "$sha256" ] || fail 5 "$sums has no sum of ${url##*/}: name it with --k0s-sha256"
    fi
    step "downloading $url"
    fetch "$url"
}

# Runs what writes into a file, up to a gigabyte: whoever sends more would fill the disk. The unit is
# half a kilobyte, in some shells a whole one.
bounded() {
    (ulimit -f 2097152 2>/dev/null || :; exec "$@")
}

# Takes an address into the fresh file. Who says nothing for a minute is not waited for, nor, with
# curl, who is not done in an hour.
fetch() {
    if command -v curl >/dev/null 2>&1; then
        next='=https'
        case $1 in http:*) next='=http,https' ;; esac
        bounded curl -sSfL --proto-redir "$next" --retry 3 --retry-max-time 3600 --max-time 3600 \
            --connect-timeout 20 --speed-limit 1024 --speed-time 60 \
            -o "$fresh" -- "$1" </dev/null || fail 5 "the download of $1 failed"
    elif is_gnu_wget; then
        bounded wget -q -T 60 -t 4 -O "$fresh" -- "$1" </dev/null || fail 5 "the download of $1 failed"
    elif command -v wget >/dev/null 2>&1; then
        # Some of BusyBox do not survive -T; those that do wait for 15 minutes without it.
        bounded wget -q -O "$fresh" -- "$1" </dev/null || fail 5 "the download of $1 failed"
    else
        fail 5 "there is neither curl nor wget to download k0s with"
    fi
}

# Others do not look at certificates.
is_gnu_wget() {
    case $(wget --version 2>/dev/null </dev/null) in
    "GNU Wget"*) return 0 ;;
    *) return 1 ;;
    esac
}

# Whatever runs here runs as root, if only to tell its version.
check_sum() {
    [ -n "$sha256" ] || return 0
    sum=$(sha256sum <"$fresh") || fail 5 "there is no sha256sum to check k0s with"
    case " $sha256 " in
    *" ${sum%% *} "*) ;;
    *) fail 5 "what came is not the k0s that is wanted: its SHA-256 sum is ${sum%% *}, and must be $sha256" ;;
    esac
}

write_token() {
    [ -d "$root/etc/k0s" ] || made_dir=$root/etc/k0s
    mkdir -p "$root/etc/k0s"
    # A file that is there keeps its mode when it is written to.
    rm -f "$token_file"
    wrote_token=$token_file
    (umask 077 && printf '%s\n' "$token" >"$token_file")
}

# k0s finds a worker's service only through systemd: elsewhere it asks for a controller's first, and
# takes the answer that there is none for a failure.
control() {
    if [ -x "$root/etc/init.d/k0s$role" ]; then
        "$root/etc/init.d/k0s$role" "$1"
    else
        "$k0s" "$1"
    fi
}

start_k0s() {
    if [ -n "$start_command" ]; then
        step "running the start command"
        sh -c "$start_command" </dev/null >&2 || fail 1 "the start command failed"
        return 0
    fi
    if [ -n "$foreground" ]; then
        step "running k0s"
        # Nobody is here any more to take it away later.
        rm -f ${authority:+"$authority"} ${before:+"$before"}
        exec "$k0s" "$role" --token-file "$token_file" "$@"
    fi
    step "installing the service"
    installing=yes
    "$k0s" install "$role" --token-file "$token_file" "$@" </dev/null >&2 ||
        fail 1 "k0s install failed"
    step "starting k0s"
    control start </dev/null >&2 || fail 1 "k0s start failed"
}

# Takes back what this run has done, the latest first.
undo() {
    code=$?
    # Whoever listened may be gone: what is said from here on must not end this.
    trap - EXIT
    trap '' INT TERM HUP PIPE
    set +e
    [ -z "$fresh" ] || rm -f "$fresh"
    [ -z "$authority" ] || rm -f "$authority"
    # What has the token in it goes once nobody will run it again.
    case $code in
    0 | 3 | 4 | 6 | 7) [ -z "$kept" ] || rm -f "$kept" ;;
    esac
    if [ "$code" = 0 ]; then
        [ -z "$before" ] || rm -f "$before"
        exit 0
    fi
    if [ -n "$installing" ]; then
        control stop </dev/null >/dev/null 2>&1 || :
        if [ -n "$had_data" ]; then
            echo "the service may be installed; remove it with: k0s reset" >&2
        else
            "$k0s" reset </dev/null >/dev/null 2>&1 || :
        fi
    fi
    [ -z "$wrote_token" ] || rm -f "$wrote_token"
    [ -z "$made_dir" ] || rmdir "$made_dir" 2>/dev/null || :
    [ -z "$placed" ] || rm -f "$placed"
    if [ -n "$before" ]; then
        if [ -s "$before" ]; then mv -f "$before" "$k0s"; else rm -f "$before"; fi
    fi
    exit "$code"
}

# The whole text has arrived before any of it runs.
main() {
    become_root
    fresh='' authority='' before='' placed='' made_dir='' wrote_token='' installing='' had_data=''
    # sudo's own often has neither.
    PATH=$PATH:$root/usr/local/bin:$root/opt/bin
    token_file=$root/etc/k0s/$cluster-$role.token
    trap undo EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    # Some shells end at once, and take nothing back, when nobody reads what they say.
    trap 'exit 141' PIPE
    check_machine
    check_token
    [ ! -d "$root/var/lib/k0s" ] || had_data=yes
    # A start command takes the place of k0s.
    [ -n "$start_command" ] || get_k0s
    write_token
    start_k0s "$@"
    # A Node of this name may be another machine's: its kubelet tells the same of itself.
    ! read -r boot 2>/dev/null <"$root/proc/sys/kernel/random/boot_id" || echo "boot: $boot"
    echo "node: $(uname -n | tr '[:upper:]' '[:lower:]')"
    step "k0s is started"
}
