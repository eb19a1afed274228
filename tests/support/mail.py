#!/usr/bin/env python3
"""A mail server of the tests: aiosmtpd in DIR, with its certificate, and TLS as MODE says.

Prints the port, and leaves DIR/N.json for each mail, read by Python's own parser; DIR/refused has a line for each
recipient that was refused. Ends with its standard input.
"""
import asyncio
import logging
import email
import email.policy
import json
import os
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

directory, mode = pathlib.Path(sys.argv[1]), sys.argv[2]
user, password = (word.encode() for word in sys.argv[3:5])


class Handler:
    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        refusals = {"nobody": "550 5.1.1 no such user as " + sys.argv[4], "busy": "451 4.3.0 later, " + sys.argv[4]}
        refusal = refusals.get(address.split("@")[0])
        if refusal:
            with open(directory / "refused", "a", encoding="utf-8") as refused:
                refused.write(address + "\n")
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "user": session.auth_data and session.auth_data.decode(),
            "is_encrypted": session.ssl is not None or mode == "implicit",
            "hello": session.host_name,
            "headers": [[name, str(value)] for name, value in mail.items()],
            "longest_line": max(len(line) for line in envelope.content.split(b"\r\n")),
            "body": mail.get_content().replace("\r\n", "\n"),
        }
        self.count += 1
        partial = directory / "partial"
        partial.write_text(json.dumps(kept), encoding="utf-8")
        os.rename(partial, directory / f"{self.count}.json")
        return "250 OK"


def authenticate(server, session, envelope, mechanism, login):
    is_known = login.login == user and login.password == password
    return AuthResult(success=is_known, handled=False, auth_data=login.login)


async def serve():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    handler = Handler()

    def connection():
        if mode == "plain":
            return SMTP(handler)
        starttls = mode == "starttls"
        return SMTP(
            handler,
            tls_context=context if starttls else None,
            require_starttls=starttls,
            authenticator=authenticate,
            auth_required=True,
            auth_require_tls=starttls,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0, ssl=context if mode == "implicit" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


logging.disable(logging.CRITICAL)
asyncio.run(serve())
os._exit(0)
