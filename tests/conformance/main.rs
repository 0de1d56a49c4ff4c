//! One list of checks, and every transport runs it.
//!
//! A check is one function of a [`Transport`]; the list at the end of this file makes a test of each
//! pair, so that a failure is called `tcp::order_is_kept` or `ipc::the_filter_refuses`. A new
//! transport is a row in `transport.rs` and a line at the end of this file.
//!
//! | file | what it checks |
//! | --- | --- |
//! | `connect` | listening, dialing, and both again |
//! | `traffic` | messages arrive as they were sent, of any size and in order |
//! | `refuse` | who and what is turned away |
//! | `account` | events, peers and counters |
//! | `pressure` | slow peers, and what closing does with what waits |
//! | `load` | many connections, many threads, no runtime |
//! | `together` | endpoints of all transports on one socket |

mod account;
#[path = "../support/bare.rs"]
mod bare;
#[cfg(feature = "tls")]
#[path = "../support/certificates.rs"]
mod certificates;
mod connect;
mod load;
#[path = "../../examples/own_transport/memory.rs"]
mod own_transport;
mod pressure;
mod refuse;
#[path = "../support/mod.rs"]
mod support;
mod together;
mod traffic;
mod transport;

/// The list. Checks of `pipes` need two sockets that meet, those of `addresses` an address to listen
/// on and to dial, those of `threads` no runtime.
macro_rules! checks_of {
    (pipes, $transport:ident) => {
        tests! { $transport:
            traffic::a_message_comes_back
            traffic::every_size_arrives
            traffic::order_is_kept
            traffic::requests_and_surveys_find_their_way
            traffic::headers_travel_between_raw_sockets
            refuse::a_message_over_the_limit_ends_its_connection
            account::events_tell_who_came_and_went
            account::a_socket_that_closes_tells_so
            account::peers_have_addresses
            account::counters_add_up
            pressure::a_stopped_puller_stops_the_pusher
            pressure::close_delivers_what_waits
            pressure::close_tells_what_it_could_not_deliver
            load::several_threads_share_one_socket
        }
    };
    (addresses, $transport:ident) => {
        tests! { $transport:
            connect::the_real_address_is_told
            connect::an_address_has_one_listener
            connect::nobody_there_is_an_error_of_connecting
            connect::a_dialer_waits_for_its_listener
            connect::a_dialer_finds_the_next_socket_at_the_address
            connect::a_closed_listener_lets_nobody_in
            connect::a_closed_dialer_does_not_come_back
            connect::either_side_may_listen
            connect::a_peer_whose_runtime_is_gone_is_gone
            refuse::another_protocol_is_turned_away
            refuse::the_filter_of_a_listener_refuses
            refuse::the_filter_of_a_dialer_refuses
            refuse::a_pair_has_one_peer
            account::endpoints_count_their_connections
            load::a_thousand_connections_come_and_go
        }
    };
    (threads, $transport:ident) => {
        #[test]
        fn sockets_need_no_runtime_of_ours() {
            if crate::transport::$transport.is_here() {
                crate::load::sockets_need_no_runtime_of_ours(&crate::transport::$transport);
            }
        }
    };
}

macro_rules! tests {
    ($transport:ident: $($file:ident::$check:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            let transport = &crate::transport::$transport;
            if transport.is_here() {
                crate::support::within(crate::$file::$check(transport)).await;
            }
        }
    )* };
}

macro_rules! all_checks_of {
    ($($(#[$when:meta])* $name:ident = $transport:ident;)*) => { $(
        $(#[$when])*
        mod $name {
            checks_of!(pipes, $transport);
            checks_of!(addresses, $transport);
            checks_of!(threads, $transport);
        }
    )* };
}

all_checks_of! {
    tcp = TCP;
    tcp4 = TCP4;
    tcp6 = TCP6;
    ipc = IPC;
    unix = UNIX;
    abstracts = ABSTRACT;
    inproc = INPROC;
    foreign = FOREIGN;
    mux_tcp = MUX_TCP;
    mux_ipc = MUX_IPC;
    mux_abstracts = MUX_ABSTRACT;
    mux_inproc = MUX_INPROC;
    mux_foreign = MUX_FOREIGN;
    #[cfg(feature = "quic")]
    mux_quic = MUX_QUIC;
    #[cfg(feature = "tls")]
    mux_tls = MUX_TLS;
    #[cfg(feature = "ws")]
    mux_ws = MUX_WS;
    #[cfg(all(feature = "ws", feature = "tls"))]
    mux_wss = MUX_WSS;
    #[cfg(feature = "quic")]
    quic = QUIC;
    #[cfg(feature = "quic")]
    quic4 = QUIC4;
    #[cfg(feature = "quic")]
    quic6 = QUIC6;
    #[cfg(feature = "tls")]
    tls = TLS;
    #[cfg(feature = "tls")]
    tls4 = TLS4;
    #[cfg(feature = "tls")]
    tls6 = TLS6;
    #[cfg(feature = "ws")]
    ws = WS;
    #[cfg(feature = "ws")]
    ws4 = WS4;
    #[cfg(feature = "ws")]
    ws6 = WS6;
    #[cfg(all(feature = "ws", feature = "tls"))]
    wss = WSS;
}

/// It has no address.
mod socketpair {
    checks_of!(pipes, SOCKETPAIR);
}
