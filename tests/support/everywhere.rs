//! The same behaviour over every kind of transport.

/// Makes four tests of each function: over tcp, ipc, inproc, and a channel over tcp. Its argument is an address to
/// listen on.
macro_rules! everywhere {
    ($($(#[$doc:meta])* async fn $name:ident($url:ident: &str) $body:block)*) => { $(
        $(#[$doc])*
        mod $name {
            use super::*;

            async fn check($url: &str) $body

            #[tokio::test]
            async fn over_tcp() {
                crate::support::within(check("tcp://127.0.0.1:0")).await;
            }

            #[tokio::test]
            async fn over_mux() {
                crate::support::within(check("mux+tcp://127.0.0.1:0#everywhere")).await;
            }

            #[tokio::test]
            async fn over_ipc() {
                let path = std::env::temp_dir().join(format!(
                    "spanwire-{}-{}-{}",
                    module_path!().replace("::", "-"),
                    std::process::id(),
                    line!()
                ));
                crate::support::within(check(&format!("ipc://{}", path.display()))).await;
            }

            #[tokio::test]
            async fn over_inproc() {
                crate::support::within(check(concat!("inproc://", module_path!()))).await;
            }
        }
    )* };
}
