"""The foreign half of the interop tests: sockets of another library, driven over stdin and stdout.

    peer.py nng|nng-c-sys|nanomsg|pynng

Every request is a line of words, the first of them the length of the bytes that follow the line;
every answer is the same. The first answer comes unasked: `ready VERSION`, or `missing WHY`.

    request                          answer
    open NAME PATTERN [raw|poly]     ok
    set NAME OPTION MILLISECONDS     ok
    listen NAME URL                  ok URL          with the real port, where 0 was asked for
    dial NAME URL                    ok
    subscribe NAME        + topic    ok
    unsubscribe NAME      + topic    ok
    send NAME [PIPE|-] [HEADER]      ok              HEADER in hex, for raw sockets
               + body
    recv NAME MILLISECONDS           ok PIPE HEADER  + body; 0 and - where there is none
    device NAME NAME                 ok              joined from here on
    reset                            ok              everything is closed

`SPANWIRE_TLS` names a folder with `authority.pem` and `own.pem` (a certificate and its key): sockets show
the latter on tls+tcp and wss, and want one of the former from whoever is there.

What goes wrong is answered by `error WHY`. The process ends with its stdin.
"""

import ctypes
import os
import socket
import sys
import threading

# A send never waits longer than this.
SEND_MS = 10_000


class Failed(Exception):
    """An operation of the library said no."""


class Nng:
    """NNG 1.x through its C interface."""

    def __init__(self, file="libnng.so.1"):
        lib = ctypes.CDLL(file)
        self.lib = lib
        for name in ("nng_strerror", "nng_version"):
            getattr(lib, name).restype = ctypes.c_char_p
        for name in ("nng_msg_body", "nng_msg_header"):
            getattr(lib, name).restype = ctypes.c_void_p
            getattr(lib, name).argtypes = [ctypes.c_void_p]
        for name in ("nng_msg_len", "nng_msg_header_len"):
            getattr(lib, name).restype = ctypes.c_size_t
            getattr(lib, name).argtypes = [ctypes.c_void_p]
        for name in ("nng_msg_append", "nng_msg_header_append"):
            getattr(lib, name).argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        lib.nng_msg_free.argtypes = [ctypes.c_void_p]
        lib.nng_msg_get_pipe.restype = Id
        lib.nng_msg_get_pipe.argtypes = [ctypes.c_void_p]
        lib.nng_msg_set_pipe.argtypes = [ctypes.c_void_p, Id]
        lib.nng_sendmsg.argtypes = [Id, ctypes.c_void_p, ctypes.c_int]
        lib.nng_socket_set.argtypes = [Id, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
        lib.nng_socket_set_ms.argtypes = [Id, ctypes.c_char_p, ctypes.c_int32]
        lib.nng_close.argtypes = [Id]
        lib.nng_tls_config_alloc.argtypes = [ctypes.c_void_p, ctypes.c_int]
        lib.nng_tls_config_ca_file.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        lib.nng_tls_config_cert_key_file.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
        lib.nng_tls_config_auth_mode.argtypes = [ctypes.c_void_p, ctypes.c_int]
        lib.nng_tls_config_server_name.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        for name in ("nng_listener_set_ptr", "nng_dialer_set_ptr"):
            getattr(lib, name).argtypes = [Id, ctypes.c_char_p, ctypes.c_void_p]

    def version(self):
        return self.lib.nng_version().decode()

    def check(self, code):
        if code:
            raise Failed(self.lib.nng_strerror(code).decode())

    def open(self, pattern, mode):
        number = "" if pattern[-1] in "01" else "0"
        suffix = f"_{mode}" if mode else ""
        sock = Id()
        self.check(getattr(self.lib, f"nng_{pattern}{number}_open{suffix}")(ctypes.byref(sock)))
        self.set(sock, "send-timeout", SEND_MS)
        return sock

    def set(self, sock, option, ms):
        self.check(self.lib.nng_socket_set_ms(sock, option.encode(), ms))

    def tls(self, mode):
        """A configuration for clients (0) or servers (1)."""
        config, own = ctypes.c_void_p(), tls_file("own.pem").encode()
        self.check(self.lib.nng_tls_config_alloc(ctypes.byref(config), mode))
        self.check(self.lib.nng_tls_config_ca_file(config, tls_file("authority.pem").encode()))
        self.check(self.lib.nng_tls_config_cert_key_file(config, own, None))
        self.check(self.lib.nng_tls_config_auth_mode(config, 2))
        if mode == 0:
            # It knows no IP addresses in certificates.
            self.check(self.lib.nng_tls_config_server_name(config, b"localhost"))
        return config

    def listen(self, sock, url):
        if is_websocket(url) and url.endswith(":0"):
            return at_free_port(url, lambda chosen: self.listen(sock, chosen))
        listener, port = Id(), ctypes.c_int()
        self.check(self.lib.nng_listener_create(ctypes.byref(listener), sock, url.encode()))
        if is_secure(url):
            self.check(self.lib.nng_listener_set_ptr(listener, b"tls-config", self.tls(1)))
        self.check(self.lib.nng_listener_start(listener, 0))
        if not url.endswith(":0"):
            return url
        self.check(self.lib.nng_listener_get_int(listener, b"tcp-bound-port", ctypes.byref(port)))
        return f"{url[:-2]}:{port.value}"

    def dial(self, sock, url):
        dialer = Id()
        self.check(self.lib.nng_dialer_create(ctypes.byref(dialer), sock, url.encode()))
        if is_secure(url):
            self.check(self.lib.nng_dialer_set_ptr(dialer, b"tls-config", self.tls(0)))
        self.check(self.lib.nng_dialer_start(dialer, 0))

    def subscribe(self, sock, topic):
        self.check(self.lib.nng_socket_set(sock, b"sub:subscribe", topic, len(topic)))

    def unsubscribe(self, sock, topic):
        self.check(self.lib.nng_socket_set(sock, b"sub:unsubscribe", topic, len(topic)))

    def send(self, sock, pipe, header, body):
        msg = ctypes.c_void_p()
        self.check(self.lib.nng_msg_alloc(ctypes.byref(msg), ctypes.c_size_t(0)))
        self.check(self.lib.nng_msg_append(msg, body, len(body)))
        self.check(self.lib.nng_msg_header_append(msg, header, len(header)))
        if pipe:
            self.lib.nng_msg_set_pipe(msg, Id(pipe))
        code = self.lib.nng_sendmsg(sock, msg, 0)
        if code:
            self.lib.nng_msg_free(msg)
        self.check(code)

    def recv(self, sock, ms):
        self.set(sock, "recv-timeout", ms)
        msg = ctypes.c_void_p()
        self.check(self.lib.nng_recvmsg(sock, ctypes.byref(msg), 0))
        body = read(self.lib.nng_msg_body(msg), self.lib.nng_msg_len(msg))
        header = read(self.lib.nng_msg_header(msg), self.lib.nng_msg_header_len(msg))
        pipe = self.lib.nng_msg_get_pipe(msg).id
        self.lib.nng_msg_free(msg)
        return pipe, header, body

    def device(self, a, b):
        self.lib.nng_device(a, b)

    def close(self, sock):
        self.lib.nng_close(sock)


class Id(ctypes.Structure):
    """How NNG passes sockets, pipes, dialers and listeners: a number in a struct."""

    _fields_ = [("id", ctypes.c_uint32)]


class Nanomsg:
    """nanomsg 1.x through its C interface."""

    PROTOCOLS = {
        "pair0": 16, "pub": 32, "sub": 33, "req": 48, "rep": 49, "push": 80, "pull": 81,
        "surveyor": 98, "respondent": 99, "bus": 112,
    }  # fmt: skip
    # The level of an option and its number.
    OPTIONS = {"surveyor:survey-time": (98, 1), "req:resend-time": (48, 1)}
    SOCKET, SNDTIMEO, RCVTIMEO, RCVMAXSIZE, SUBSCRIBE, UNSUBSCRIBE = 0, 4, 5, 16, 1, 2
    EADDRINUSE = 98
    # Its buffer, allocated by nanomsg itself.
    ANY_LENGTH = ctypes.c_size_t(-1)

    def __init__(self):
        lib = ctypes.CDLL("libnanomsg.so.5")
        self.lib = lib
        lib.nn_strerror.restype = ctypes.c_char_p
        lib.nn_send.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
        lib.nn_freemsg.argtypes = [ctypes.c_void_p]

    def version(self):
        # It has no function that tells; its soname does.
        return "1.x"

    def check(self, code):
        if code < 0:
            raise Failed(self.lib.nn_strerror(self.lib.nn_errno()).decode())
        return code

    def open(self, pattern, mode):
        sock = self.check(self.lib.nn_socket(2 if mode == "raw" else 1, self.PROTOCOLS[pattern]))
        self.set_int(sock, self.SOCKET, self.SNDTIMEO, SEND_MS)
        # By default it refuses 1 MiB and a header.
        self.set_int(sock, self.SOCKET, self.RCVMAXSIZE, -1)
        return sock

    def set(self, sock, option, ms):
        self.set_int(sock, *self.OPTIONS[option], ms)

    def set_int(self, sock, level, option, value):
        value = ctypes.c_int(value)
        size = ctypes.c_size_t(ctypes.sizeof(value))
        self.check(self.lib.nn_setsockopt(sock, level, option, ctypes.byref(value), size))

    def listen(self, sock, url):
        if not url.endswith(":0"):
            self.check(self.lib.nn_bind(sock, url.encode()))
            return url
        # Port 0 is not for it. Somebody else may be quicker to take the port that was free.
        for _ in range(20):
            chosen = f"{url[:-2]}:{free_port()}"
            if self.lib.nn_bind(sock, chosen.encode()) >= 0:
                return chosen
            if self.lib.nn_errno() != self.EADDRINUSE:
                break
        return self.check(-1)

    def dial(self, sock, url):
        self.check(self.lib.nn_connect(sock, url.encode()))

    def subscribe(self, sock, topic):
        self.check(self.lib.nn_setsockopt(sock, 33, self.SUBSCRIBE, topic, ctypes.c_size_t(len(topic))))

    def unsubscribe(self, sock, topic):
        self.check(self.lib.nn_setsockopt(sock, 33, self.UNSUBSCRIBE, topic, ctypes.c_size_t(len(topic))))

    def send(self, sock, pipe, header, body):
        if pipe or header:
            raise Failed("nanomsg sends to no chosen pipe, and not with a header")
        self.check(self.lib.nn_send(sock, body, len(body), 0))

    def recv(self, sock, ms):
        self.set_int(sock, self.SOCKET, self.RCVTIMEO, ms)
        buffer = ctypes.c_void_p()
        length = self.check(self.lib.nn_recv(sock, ctypes.byref(buffer), self.ANY_LENGTH, 0))
        body = read(buffer.value, length)
        self.lib.nn_freemsg(buffer)
        return 0, b"", body

    def device(self, a, b):
        self.lib.nn_device(a, b)

    def close(self, sock):
        self.lib.nn_close(sock)


class Pynng:
    """NNG as Python programs know it."""

    def __init__(self):
        import pynng

        self.pynng = pynng

    def version(self):
        nng = self.pynng.ffi.string(self.pynng.lib.nng_version()).decode()
        return f"{self.pynng.__version__} with NNG {nng}"

    def open(self, pattern, mode):
        number = "" if pattern[-1] in "01" else "0"
        kind = getattr(self.pynng, f"{pattern.capitalize()}{number}")
        how = {"polyamorous": True} if mode == "poly" else {}
        return kind(send_timeout=SEND_MS, **how)

    def set(self, sock, option, ms):
        self.pynng.check_err(self.pynng.lib.nng_socket_set_ms(sock.socket, option.encode(), ms))

    def tls(self, mode):
        config = self.pynng.TLSConfig
        name = {"server_name": "localhost"} if mode == config.MODE_CLIENT else {}
        files = {"ca_files": tls_file("authority.pem"), "cert_key_file": tls_file("own.pem")}
        return config(mode, auth_mode=config.AUTH_MODE_REQUIRED, **name, **files)

    def listen(self, sock, url):
        if is_websocket(url) and url.endswith(":0"):
            return at_free_port(url, lambda chosen: self.listen(sock, chosen))
        if is_secure(url):
            sock.tls_config = self.tls(self.pynng.TLSConfig.MODE_SERVER)
        listener = sock.listen(url)
        return f"{url[:-2]}:{port_of(listener.local_address)}" if url.endswith(":0") else url

    def dial(self, sock, url):
        if is_secure(url):
            sock.tls_config = self.tls(self.pynng.TLSConfig.MODE_CLIENT)
        sock.dial(url, block=True)

    def subscribe(self, sock, topic):
        sock.subscribe(topic)

    def unsubscribe(self, sock, topic):
        sock.unsubscribe(topic)

    def send(self, sock, pipe, header, body):
        if header:
            raise Failed("pynng has no raw sockets")
        if pipe:
            to = next(known for known in sock.pipes if known.id == pipe)
            sock.send_msg(self.pynng.Message(body, to))
        else:
            sock.send(body)

    def recv(self, sock, ms):
        sock.recv_timeout = ms
        message = sock.recv_msg()
        return message.pipe.id if message.pipe else 0, b"", message.bytes

    def device(self, a, b):
        raise Failed("pynng has no devices")

    def close(self, sock):
        sock.close()


def read(address, length):
    return ctypes.string_at(address, length) if length else b""


def is_secure(url):
    return url.startswith(("tls+", "wss"))


def tls_file(name):
    return os.path.join(os.environ["SPANWIRE_TLS"], name)


def is_websocket(url):
    return url.startswith(("ws:", "wss:"))


def at_free_port(url, listen):
    """Listens where a port was free a moment ago: NNG does not tell which one a WebSocket has got."""
    for attempt in range(20):
        chosen = f"{url[:-2]}:{free_port()}"
        try:
            return listen(chosen)
        except Exception:
            # Somebody else was quicker.
            if attempt == 19:
                raise


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_of(address):
    # pynng keeps it as it is in the struct, in network order.
    return socket.ntohs(address.port)


class Peer:
    """The sockets by their names, and what can be asked for."""

    def __init__(self, library):
        self.library = library
        self.sockets = {}

    def answer(self, words, body):
        """The words of the answer and its body."""
        verb, *rest = words
        if verb == "reset":
            for name in list(self.sockets):
                self.library.close(self.sockets.pop(name))
            return [], b""
        name, *rest = rest
        if verb == "open":
            pattern, mode = rest if len(rest) == 2 else (rest[0], "")
            self.sockets[name] = self.library.open(pattern, mode)
            return [], b""
        sock = self.sockets[name]
        if verb == "set":
            self.library.set(sock, rest[0], int(rest[1]))
        elif verb == "listen":
            return [self.library.listen(sock, rest[0])], b""
        elif verb == "dial":
            self.library.dial(sock, rest[0])
        elif verb == "subscribe":
            self.library.subscribe(sock, body)
        elif verb == "unsubscribe":
            self.library.unsubscribe(sock, body)
        elif verb == "send":
            pipe, header = (rest + ["-", "-"])[:2]
            pipe = 0 if pipe == "-" else int(pipe)
            self.library.send(sock, pipe, bytes.fromhex(header.strip("-")), body)
        elif verb == "recv":
            pipe, header, body = self.library.recv(sock, int(rest[0]))
            return [str(pipe), header.hex() or "-"], body
        elif verb == "device":
            ends = (sock, self.sockets[rest[0]])
            threading.Thread(target=self.library.device, args=ends, daemon=True).start()
        else:
            raise Failed(f"what is {verb}?")
        return [], b""


def say(words, body=b""):
    line = " ".join([str(len(body)), *words]).replace("\n", " ")
    sys.stdout.buffer.write(line.encode() + b"\n" + body)
    sys.stdout.buffer.flush()


def new_nng():
    """NNG 1.12, which `cargo xtask test` has built."""
    if "SPANWIRE_NNG" not in os.environ:
        raise OSError("SPANWIRE_NNG does not name a library; cargo xtask test builds one")
    return Nng(os.environ["SPANWIRE_NNG"])


def main():
    kinds = {"nng": Nng, "nng-c-sys": new_nng, "nanomsg": Nanomsg, "pynng": Pynng}
    try:
        peer = Peer(kinds[sys.argv[1]]())
    except (OSError, ImportError) as why:
        return say(["missing", str(why)])
    say(["ready", peer.library.version()])
    while line := sys.stdin.buffer.readline():
        length, *words = line.decode().split()
        body = sys.stdin.buffer.read(int(length))
        try:
            words, body = peer.answer(words, body)
            say(["ok", *words], body)
        except Exception as why:  # Whatever it was, the test is told, and decides.
            say(["error", type(why).__name__, str(why)])


if __name__ == "__main__":
    main()
