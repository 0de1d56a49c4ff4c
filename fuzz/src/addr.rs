//! Any text as an address.

use spanwire_core::Addr;
use spanwire_core::addr::{MAX_UNIX_BYTES, Mux};

/// What parses is printed so that it parses to the same.
///
/// # Panics
///
/// It does not.
pub fn addr(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(foreign) = Addr::foreign(text) {
        assert_eq!(Addr::foreign(&foreign.to_string()).as_ref(), Ok(&foreign), "{text:?}");
    }
    let addr = match Addr::parse(text) {
        Ok(addr) => addr,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let printed = addr.to_string();
    assert_eq!(Addr::parse(&printed).as_ref(), Ok(&addr), "{printed:?}");
    let (dial, listen) = (addr.for_dial(), addr.for_listen());
    match &addr {
        Addr::Tcp(tcp) => {
            assert_eq!(tcp.remote().is_ok(), dial.is_ok());
            assert_eq!(tcp.bind().is_ok(), listen.is_ok());
        }
        Addr::Ipc(ipc) => {
            assert!((1..=MAX_UNIX_BYTES).contains(&ipc.path().len()) && !ipc.path().contains('\0'));
        }
        Addr::Abstract(name) => assert!(name.name().len() <= MAX_UNIX_BYTES),
        Addr::Inproc(name) => assert!(text.ends_with(name.as_str())),
        Addr::Tls(tcp) | Addr::Quic(tcp) => {
            assert_eq!(tcp.remote().is_ok(), dial.is_ok());
            assert_eq!(tcp.bind().is_ok(), listen.is_ok());
        }
        Addr::Mux(mux) => {
            assert_eq!((mux.inner().for_dial(), mux.inner().for_listen()), (dial, listen));
            assert!(mux.id().len() <= Mux::MAX_ID_BYTES && !matches!(mux.inner(), Addr::Mux(_)));
        }
        Addr::Ws(ws) => assert!(ws.target().starts_with('/')),
        other => panic!("a scheme without a check: {other}"),
    }
}
