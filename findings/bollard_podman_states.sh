#!/bin/sh
# bollard 0.21.1 (models: bollard-stubs 1.53.1-rc.29.3.1) and the Docker-compatible service of Podman.
#
# A container's state is an enum of Docker's words in these models. Podman has others: a container that has ended and is not
# cleaned up yet is "stopped", one that was made by `podman create` under some versions "initialized". One container in such a
# state, whoever owns it, and `list_containers` gives an error in place of the whole list. `inspect_container` does the same.
#
# Seen: error: Failed to deserialize JSON: unknown variant `stopped`, expected one of ``, `created`, `running`, …
# Needs: cargo with its registry, python3. Ends with 1 when the behaviour is another one.
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT

mkdir "$dir/src"
cat >"$dir/Cargo.toml" <<'TOML'
[package]
name = "states"
version = "0.0.0"
edition = "2021"
[dependencies]
bollard = { version = "=0.21.1", default-features = false, features = ["http", "pipe"] }
bollard-stubs = "=1.53.1-rc.29.3.1"
tokio = { version = "1", features = ["macros", "rt"] }
[workspace]
TOML
cat >"$dir/src/main.rs" <<'RUST'
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let socket = std::env::args().nth(1).unwrap();
    let engine = bollard::Docker::connect_with_unix(&socket, 10, bollard::API_DEFAULT_VERSION).unwrap();
    match engine.list_containers(None).await {
        Ok(all) => println!("{} containers", all.len()),
        Err(error) => println!("error: {error}"),
    }
}
RUST
# What Podman 4.3.1 answers to GET /containers/json?all=true for a container that runs and, beside it, one of another state.
cat >"$dir/engine.py" <<'PY'
import http.server, json, socketserver, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        listed = [{"Id": state[0] * 64, "Names": ["/" + state], "Image": "localhost/app:1", "ImageID": "sha256:" + "a" * 64,
                   "Command": "sleep 600", "Created": 1796122436, "Ports": [], "Labels": {}, "State": state,
                   "Status": "", "Mounts": []} for state in ("running", sys.argv[2])]
        body = json.dumps(listed).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

socketserver.UnixStreamServer(sys.argv[1], Answer).serve_forever()
PY
cargo build --quiet --manifest-path "$dir/Cargo.toml"

ask() {
    python3 "$dir/engine.py" "$dir/$1.sock" "$1" &
    server=$!
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ -S "$dir/$1.sock" ] && break
        sleep 0.2
    done
    "$dir/target/debug/states" "$dir/$1.sock"
    kill "$server"
    server=
}
exited=$(ask exited)
stopped=$(ask stopped)
printf 'exited:  %s\nstopped: %s\n' "$exited" "$stopped"
[ "$exited" = '2 containers' ] || exit 1
# shellcheck disable=SC2016
case $stopped in
*'unknown variant `stopped`'*) ;;
*) exit 1 ;;
esac
