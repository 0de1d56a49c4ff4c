//! Both sides of the handshake, with each other and with what other libraries send.

use super::*;
use crate::options::Origins;
use alloc::borrow::ToOwned;
use core::str;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const REP: &str = "rep.sp.nanomsg.org";

/// A request of NNG's, with lines left out, changed or added.
fn asked(first: &str, without: &str, more: &str) -> Result<Agreed, WsError> {
    let lines = [
        "Host: 127.0.0.1:5555",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: rep.sp.nanomsg.org",
    ];
    let mut head = format!("{first}\r\n");
    for line in lines.iter().filter(|line| without.is_empty() || !line.starts_with(without)) {
        head.push_str(&format!("{line}\r\n"));
    }
    head.push_str(&format!("{more}\r\n"));
    let (request, length) = Request::read(head.as_bytes())?.expect("a whole head");
    assert_eq!(length, head.len());
    request.judge(REP, &Origins::Listed(vec!["https://good.example".to_owned()]))
}

const GET: &str = "GET /path HTTP/1.1";

#[test]
fn requests_of_every_library_are_let_in() {
    let text = include_str!("../../../../../tests/vectors/websocket.json");
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut seen = 0;
    for vector in file["vectors"].as_array().unwrap() {
        if !vector["id"].as_str().unwrap().ends_with("-client-upgrade") {
            continue;
        }
        let head = vector["text"].as_str().unwrap();
        let (request, length) = Request::read(head.as_bytes()).unwrap().unwrap();
        assert_eq!((length, request.target()), (head.len(), "/path/x?q=1"));
        request.judge(REP, &Origins::default()).unwrap();
        seen += 1;
    }
    assert_eq!(seen, 6);
}

#[test]
fn our_request_is_the_one_that_nng_sends() {
    let text = include_str!("../../../../../tests/vectors/websocket.json");
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    let vector = vectors.iter().find(|v| v["id"] == "ws-nng152-client-upgrade").unwrap();
    let captured = vector["text"].as_str().unwrap();
    let key = captured.split("Key: ").nth(1).unwrap().lines().next().unwrap();
    let ask = Ask {
        host: "127.0.0.1:50105",
        target: "/path/x?q=1",
        key,
        sub_protocol: &sub_protocol(Protocol::Rep),
        origin: None,
        headers: &[],
    };
    assert_eq!(str::from_utf8(&ask.encode().unwrap()).unwrap(), captured);
}

#[test]
fn our_answer_is_the_one_that_nng_sends() {
    let text = include_str!("../../../../../tests/vectors/websocket.json");
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut seen = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let id = vector["id"].as_str().unwrap();
        if !id.ends_with("-server-upgrade") {
            continue;
        }
        let answer = vector["text"].as_str().unwrap();
        let (request, _) =
            Request::read(vector["request_text"].as_str().unwrap().as_bytes()).unwrap().unwrap();
        let ours = request.judge(REP, &Origins::default()).unwrap().encode(&[]).unwrap();
        if id.contains("nng") {
            assert_eq!(str::from_utf8(&ours).unwrap(), answer, "{id}");
        }
        assert_eq!(Answer::check(answer.as_bytes(), KEY, REP), Ok(Some(answer.len())), "{id}");
        assert_eq!(Answer::check(&ours, KEY, REP), Ok(Some(ours.len())));
        seen += 1;
    }
    assert_eq!(seen, 6);
}

#[test]
fn liberal_in_what_is_read() {
    for (first, without, more) in [
        (GET, "", ""),
        ("GET /path/?x=1 HTTP/1.1", "", ""),
        ("GET ws://host:1/path HTTP/1.1", "", ""),
        (GET, "Connection", "connection: keep-alive,Upgrade\r\n"),
        (GET, "Connection", "Connection: keep-alive\r\nConnection: upgrade\r\n"),
        (GET, "Upgrade", "UPGRADE: WebSocket\r\n"),
        (GET, "Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: foo,rep.sp.nanomsg.org , bar\r\n"),
        (GET, "", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
        (GET, "", "Origin: HTTPS://good.example\r\n"),
        (GET, "", "Content-Length: 0\r\n"),
    ] {
        let agreed = asked(first, without, more).unwrap_or_else(|error| panic!("{more}: {error}"));
        let answer = String::from_utf8(agreed.encode(&[]).unwrap()).unwrap();
        assert!(!answer.contains("Extensions"), "compression is never agreed on");
    }
    let odd = asked(GET, "Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: REP.sp.Nanomsg.org\r\n").unwrap();
    let answer = String::from_utf8(odd.encode(&[]).unwrap()).unwrap();
    assert!(answer.contains("Sec-WebSocket-Protocol: REP.sp.Nanomsg.org\r\n"), "as it was asked for");
}

#[test]
fn every_bad_request_has_an_error_of_its_own_and_a_status() {
    let missing = |name| WsError::MissingHeader { name };
    let cases = [
        ("POST /path HTTP/1.1", "", "", WsError::BadMethod, 405),
        ("GET /path HTTP/1.0", "", "", WsError::NoUpgrade, 426),
        (GET, "Upgrade", "", WsError::NoUpgrade, 426),
        (GET, "Connection", "Connection: keep-alive\r\n", WsError::NoUpgrade, 426),
        (GET, "", "Content-Length: 5\r\n", WsError::Body, 400),
        (GET, "", "Transfer-Encoding: chunked\r\n", WsError::Body, 400),
        (GET, "Sec-WebSocket-Version", "", missing("Sec-WebSocket-Version"), 400),
        (
            GET,
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Version: 8\r\n",
            WsError::BadVersion { version: "8".to_owned() },
            400,
        ),
        (GET, "Sec-WebSocket-Key", "", missing("Sec-WebSocket-Key"), 400),
        (GET, "Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ=\r\n", WsError::BadKey, 400),
        (GET, "", "Sec-WebSocket-Key: AAAA\r\n", WsError::RepeatedHeader { name: "Sec-WebSocket-Key" }, 400),
        (GET, "Sec-WebSocket-Protocol", "", missing("Sec-WebSocket-Protocol"), 400),
        (
            GET,
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Protocol: req.sp.nanomsg.org, pub.sp.nanomsg.org\r\n",
            WsError::WrongSubprotocol {
                expected: REP.to_owned(),
                found: "req.sp.nanomsg.org, pub.sp.nanomsg.org".to_owned(),
            },
            400,
        ),
        (
            GET,
            "",
            "Origin: https://evil.example\r\n",
            WsError::ForeignOrigin { origin: "https://evil.example".to_owned() },
            403,
        ),
    ];
    for (first, without, more, error, code) in cases {
        assert_eq!(asked(first, without, more), Err(error.clone()), "{first} {more}");
        let answer = String::from_utf8(error.encode()).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", text.len())), "{answer}");
        assert!(!answer.contains("evil"), "what the peer said is not repeated");
        assert!(!error.is_transient() && !format!("{error}").is_empty());
        // And what a dialer of ours makes of it.
        match Answer::check(answer.as_bytes(), KEY, REP) {
            Err(WsError::Status { code: found, text: said }) => {
                assert_eq!((found, said.as_str()), (code, text.trim_end()));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_no_http_is_seen_before_it_is_whole() {
    for bytes in [&b"\0SP\0\0\x30\0\0"[..], b"\x16\x03\x01\x02\0\x01", b"GET /path FTP", b"\x82\x85abcd"] {
        assert_eq!(Request::read(bytes), Err(WsError::NotHttp), "{}", bytes.escape_ascii());
    }
    assert_eq!(Answer::check(b"\0SP\0\0\x31\0\0", KEY, REP), Err(WsError::NotHttp));
}

#[test]
fn a_head_has_a_bound_in_bytes_and_in_lines() {
    let mut long = format!("{GET}\r\nX: ").into_bytes();
    long.resize(MAX_HEAD_BYTES - 1, b'x');
    assert_eq!(Request::read(&long), Ok(None));
    long.push(b'x');
    assert_eq!(Request::read(&long), Err(WsError::HeadTooLarge));
    let lines = "a: b\r\n".repeat(MAX_HEADERS + 1);
    assert_eq!(Request::read(format!("{GET}\r\n{lines}").as_bytes()), Err(WsError::HeadTooLarge));
    assert!(WsError::HeadTooLarge.encode().starts_with(b"HTTP/1.1 431 "));
}

#[test]
fn a_head_may_come_in_any_pieces() {
    let head = format!("{GET}\r\nHost: x\r\nUpgrade: websocket\r\n\r\n\x01\x02");
    for cut in 0..head.len() - 2 {
        assert_eq!(Request::read(&head.as_bytes()[..cut]), Ok(None), "{cut}");
    }
    let (_, length) = Request::read(head.as_bytes()).unwrap().unwrap();
    assert_eq!(length, head.len() - 2, "what follows is not part of it");
}

#[test]
fn every_bad_answer_has_an_error_of_its_own() {
    let good = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {REP}\r\n\r\n",
        accept_text(KEY)
    );
    let check = |text: &str| Answer::check(text.as_bytes(), KEY, REP);
    assert_eq!(check(&good), Ok(Some(good.len())));
    for cut in 0..good.len() {
        assert_eq!(check(&good[..cut]), Ok(None));
    }
    let wrong = |found: &str| WsError::WrongSubprotocol { expected: REP.to_owned(), found: found.to_owned() };
    for (from, to, error) in [
        ("101 ", "200 ", WsError::Status { code: 200, text: String::new() }),
        ("Upgrade: websocket\r\n", "", WsError::NoUpgrade),
        ("Connection: keep-alive, Upgrade", "Connection: close", WsError::NoUpgrade),
        ("Accept: ", "Accept: x", WsError::BadAccept),
        (REP, "pub.sp.nanomsg.org", wrong("pub.sp.nanomsg.org")),
        ("Sec-WebSocket-Protocol", "X-Other", wrong("")),
        ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", WsError::UnaskedExtension),
    ] {
        assert_eq!(check(&good.replacen(from, to, 1)), Err(error), "{to}");
    }
}

#[test]
fn headers_of_options_cannot_break_out() {
    let with = |name: &str, value: &str| {
        let headers = [(name.to_owned(), value.to_owned())];
        let ask =
            Ask { host: "h:1", target: "/", key: KEY, sub_protocol: REP, origin: None, headers: &headers };
        let asked = ask.encode();
        let answered = Agreed { key: KEY.to_owned(), sub_protocol: REP.to_owned() }.encode(&headers);
        assert_eq!(asked.is_ok(), answered.is_ok(), "{name}: {value}");
        asked
    };
    assert!(with("Authorization", "Bearer abc").unwrap().ends_with(b"Authorization: Bearer abc\r\n\r\n"));
    for (name, value) in [
        ("X", "a\r\nEvil: b"),
        ("X", "a\nb"),
        ("X", "a\0b"),
        ("X\r\nEvil", "b"),
        ("X Y", "b"),
        ("", "b"),
        ("Host", "elsewhere"),
        ("sec-websocket-protocol", "pub.sp.nanomsg.org"),
        ("Transfer-Encoding", "chunked"),
    ] {
        assert_eq!(with(name, value), Err(WsError::BadOption { name: name.to_owned() }), "{name}: {value}");
    }
    let origin = |origin| {
        let ask =
            Ask { host: "h", target: "/", key: KEY, sub_protocol: REP, origin: Some(origin), headers: &[] };
        ask.encode()
    };
    assert!(origin("https://a.example\r\nX: y").is_err());
    assert!(origin("https://a.example").unwrap().ends_with(b"Origin: https://a.example\r\n\r\n"));
}

#[test]
fn our_heads_are_short_enough_for_nanomsg() {
    for protocol in Protocol::ALL {
        let agreed = Agreed { key: KEY.to_owned(), sub_protocol: sub_protocol(protocol) };
        assert!(agreed.encode(&[]).unwrap().len() < 512);
    }
    let long = [("X".to_owned(), "x".repeat(400))];
    assert_eq!(Agreed::check_headers(REP, &long), Err(WsError::HeadTooLarge));
    assert_eq!(Agreed::check_headers(REP, &[]), Ok(()));
    let long = [("X".to_owned(), "x".repeat(4_000))];
    let ask = Ask { host: "h", target: "/", key: KEY, sub_protocol: REP, origin: None, headers: &long };
    assert_eq!(ask.encode(), Err(WsError::HeadTooLarge));
}

#[test]
fn paths_are_compared_without_query_and_last_slash() {
    for (path, target, same) in [
        ("/path", "/path", true),
        ("/path", "/path/", true),
        ("/path/", "/path", true),
        ("/path", "/path?x=1", true),
        ("/path?x=1", "/path/?y=2", true),
        ("/", "/", true),
        ("/", "/?x", true),
        ("/path", "/path//", false),
        ("/path", "/Path", false),
        ("/path", "/", false),
        ("/", "/path", false),
    ] {
        assert_eq!(is_at(path, target), same, "{path} {target}");
    }
}
