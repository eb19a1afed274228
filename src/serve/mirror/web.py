"""Serves the files below a directory to whoever shows a user and a password; looks for the password among all processes meanwhile.

Arguments: the directory, the user, the password, a file for its port, and one for what was found.
"""

import base64
import glob
import http.server
import os
import sys

directory, user, password, port_file, found = sys.argv[1:]
with open(password, encoding="ascii") as file:
    secret = file.read().strip()
wanted = "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


def holders():
    for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                if secret.encode() in file.read():
                    yield path
        except OSError:
            pass


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *args):
        super().__init__(*args, directory=directory)

    def do_GET(self):
        if self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        with open(found, "a", encoding="ascii") as file:
            file.write("asked\n" + "".join(path + "\n" for path in holders()))
        super().do_GET()

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(port_file + ".new", "w", encoding="ascii") as file:
    file.write(str(server.server_address[1]))
os.rename(port_file + ".new", port_file)
server.serve_forever()
