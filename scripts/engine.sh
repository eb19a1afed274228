#!/bin/sh
# Starts and stops the engines that the tests talk to: a private dockerd, a private Podman.
#
#   scripts/engine.sh start DIR         a dockerd in DIR unless an engine answers at a Unix socket, and DIR/env
#   scripts/engine.sh start-podman DIR  Podman's compatible service in DIR, and DIR/podman.env
#   scripts/engine.sh stop DIR          stops what was started in DIR
#
# DIR/env holds DOCKER_HOST=..., DIR/podman.env DRIFTLOCK_PODMAN=...; DIR is short and
# without blanks: sockets lie in it.
# DIR/dockerd.log and DIR/podman.log tell why something did not start.
set -eu

# How many tenths of a second an engine may take to answer, and to end.
START=300
END=200

fail() {
    echo "engine.sh: $*" >&2
    exit 1
}

# Repeats a command every tenth of a second, at most $1 times; stops early when process $2 has ended.
wait_for() {
    tries=$1 pid=$2
    shift 2
    while [ "$tries" -gt 0 ]; do
        if "$@" >/dev/null 2>&1; then return 0; fi
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.1
        tries=$((tries - 1))
    done
    return 1
}

# Where the docker client finds its engine, by DOCKER_HOST or its context; the tests need a Unix socket.
docker_at() {
    command -v docker >/dev/null || return 1
    at=$(timeout 10 docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null) || return 1
    case $at in unix:///*) DOCKER_HOST=$at timeout 10 docker version >/dev/null 2>&1 ;; *) return 1 ;; esac
}

private_docker_answers() {
    DOCKER_HOST="unix://$dir/docker.sock" timeout 5 docker version
}

# Runs dockerd with more arguments; true once it answers.
try_dockerd() {
    # The machine's own daemon.json is not for this one; the namespaces keep it apart from another dockerd
    # where both use the system's containerd.
    echo '{}' >"$dir/daemon.json"
    # An engine without a bridge removes docker0: not where it may be another's.
    apart=
    if [ -d /sys/class/net/docker0 ]; then apart='unshare --net'; fi
    # shellcheck disable=SC2086
    setsid $apart dockerd --config-file "$dir/daemon.json" --host "unix://$dir/docker.sock" --data-root "$dir/data" --exec-root "$dir/exec" \
        --pidfile "$dir/dockerd.pid" --containerd-namespace "driftlock-$$" \
        --containerd-plugins-namespace "driftlock-plugins-$$" \
        --bridge=none --iptables=false --ip-masq=false "$@" </dev/null >"$dir/dockerd.log" 2>&1 &
    wait_for "$START" $! private_docker_answers
}

start_docker() {
    if docker_at; then
        echo "DOCKER_HOST=$at" >"$dir/env"
        return 0
    fi
    command -v dockerd >/dev/null || fail "no engine answers and dockerd is not installed (Debian: docker.io)"
    command -v docker >/dev/null || fail "the docker client is not installed (Debian: docker.io)"
    [ "$(id -u)" = 0 ] || fail "no engine answers, and only root can start one"
    unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
    if ! private_docker_answers >/dev/null 2>&1 && ! try_dockerd; then
        end_docker
        rm -rf "$dir/data" "$dir/exec"
        if ! try_dockerd --storage-driver=vfs; then
            end_docker
            tail -n 5 "$dir/dockerd.log" >&2
            fail "dockerd does not come up: $dir/dockerd.log"
        fi
    fi
    echo "DOCKER_HOST=unix://$dir/docker.sock" >"$dir/env"
}

podman_answers() {
    timeout 5 podman --url "unix://$dir/podman.sock" version
}

start_podman() {
    command -v podman >/dev/null || fail "podman is not installed (Debian: podman)"
    if podman_answers >/dev/null 2>&1; then return 0; fi
    setsid podman --root "$dir/podman" --runroot "$dir/podman-run" --storage-driver vfs \
        --cgroup-manager cgroupfs system service --time=0 "unix://$dir/podman.sock" \
        </dev/null >"$dir/podman.log" 2>&1 &
    echo $! >"$dir/podman.pid"
    if ! wait_for "$START" $! podman_answers; then
        end "$dir/podman.pid" podman
        tail -n 5 "$dir/podman.log" >&2
        fail "podman does not answer: $dir/podman.log"
    fi
    echo "DRIFTLOCK_PODMAN=unix://$dir/podman.sock" >"$dir/podman.env"
}

# Ends the process of a pid file, if it still is the program $2 that was started in $dir.
end() {
    [ -s "$1" ] || return 0
    pid=$(cat "$1")
    line=$({ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null) || line=
    if printf '%s' "$line" | grep -qF "$2 " && printf '%s' "$line" | grep -qF "$dir/"; then
        kill "$pid" 2>/dev/null || true
        wait_for "$END" "$pid" test ! -d "/proc/$pid" || kill -KILL "$pid" 2>/dev/null || true
    fi
    rm -f "$1"
}

end_docker() {
    end "$dir/dockerd.pid" dockerd
    # A dockerd that did not come up leaves its data root mounted on itself.
    while mountpoint -q "$dir/data"; do umount -l "$dir/data" || break; done
}

[ $# -eq 2 ] || fail "usage: engine.sh start|start-podman|stop DIR"
mkdir -p "$2"
dir=$(cd "$2" && pwd -P)
case $dir in *[[:space:]]*) fail "the path of DIR may hold no blanks: $dir" ;; esac
case $1 in
start) start_docker ;;
start-podman) start_podman ;;
stop)
    end "$dir/podman.pid" podman
    end_docker
    rm -f "$dir/env" "$dir/podman.env"
    ;;
*) fail "usage: engine.sh start|start-podman|stop DIR" ;;
esac
